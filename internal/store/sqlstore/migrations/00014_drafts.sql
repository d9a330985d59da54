-- +goose Up
-- What is being written: files of a tool or workflow that are no version yet.
CREATE TABLE drafts (
  project TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, definition TEXT NOT NULL,
  manifest BLOB NOT NULL, -- the files, in JSON
  tag TEXT NOT NULL,      -- another one for other files
  base BIGINT NOT NULL,   -- the version that it began from; 0 for none
  changed BIGINT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (project, name)
);
