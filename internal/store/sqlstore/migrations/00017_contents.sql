-- +goose Up
-- The contents that each project was sent: what it may name. Those that are named already are noted by the next migration.
CREATE TABLE contents (project TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (project, digest)) WITHOUT ROWID;
CREATE INDEX contents_by_digest ON contents (digest);
