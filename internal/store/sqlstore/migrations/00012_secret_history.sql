-- +goose Up
-- Who has set which version of a secret when, and the latest runs that had it. Values are in neither.
CREATE TABLE secret_versions (
  project TEXT NOT NULL, name TEXT NOT NULL, version BIGINT NOT NULL, set_at BIGINT NOT NULL, set_by TEXT NOT NULL,
  PRIMARY KEY (project, name, version)
) WITHOUT ROWID;
INSERT INTO secret_versions (project, name, version, set_at, set_by) SELECT project, name, version, set_at, set_by FROM secrets;

CREATE TABLE secret_uses (
  project TEXT NOT NULL, name TEXT NOT NULL, run TEXT NOT NULL, used BIGINT NOT NULL, version BIGINT NOT NULL,
  PRIMARY KEY (project, name, run)
) WITHOUT ROWID;
