-- +goose Up
-- The audit log (package audit). No statement changes or removes a row of it.
CREATE TABLE audit (
  number BIGINT PRIMARY KEY, at BIGINT NOT NULL, actor TEXT NOT NULL, actor_project TEXT NOT NULL, address TEXT NOT NULL,
  action TEXT NOT NULL, project TEXT NOT NULL, subject TEXT NOT NULL, outcome TEXT NOT NULL, details TEXT NOT NULL,
  previous TEXT NOT NULL, hash TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX audit_of_project ON audit (project, number);

-- Its one row is the last entry. Who appends holds its lock, so that servers that share a database write one chain.
CREATE TABLE audit_head (id BIGINT PRIMARY KEY, number BIGINT NOT NULL, hash TEXT NOT NULL);
INSERT INTO audit_head (id, number, hash) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- The policies of projects (package policy), with all of their versions. One that was removed has an empty text.
CREATE TABLE policies (
  project TEXT NOT NULL, version BIGINT NOT NULL, text TEXT NOT NULL, set_at BIGINT NOT NULL, set_by TEXT NOT NULL,
  PRIMARY KEY (project, version)
);
