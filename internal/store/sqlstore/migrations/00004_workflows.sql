-- +goose Up
-- A step of a workflow is a run of its own; parent is the workflow's run, and step the step's name in its events.
ALTER TABLE queue ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE queue ADD COLUMN step TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN step TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN resumes TEXT NOT NULL DEFAULT ''; -- the run whose results this one began with
DROP INDEX runs_of_project;
DROP INDEX runs_of_tool;
DROP INDEX runs_by_status;
CREATE INDEX runs_of_project ON runs (project, parent, id DESC);
CREATE INDEX runs_of_tool ON runs (project, parent, tool, id DESC);
CREATE INDEX runs_by_status ON runs (project, parent, status, id DESC);

-- The workflows that aren't over.
CREATE TABLE workflows (
  run TEXT PRIMARY KEY, project TEXT NOT NULL,
  entries BIGINT NOT NULL,  -- the number of entries in its journal: the fence of whoever takes it forward
  happened BIGINT NOT NULL, -- how often something has happened to it
  seen BIGINT NOT NULL,     -- how much of that is in the journal
  deadline BIGINT NOT NULL  -- when it must be taken forward even if nothing happens; 0 for never
);
CREATE INDEX workflows_due ON workflows (run) WHERE happened > seen;
CREATE INDEX workflows_timed ON workflows (deadline) WHERE deadline > 0;

CREATE TABLE journal (run TEXT NOT NULL, number BIGINT NOT NULL, entry BLOB NOT NULL, PRIMARY KEY (run, number));
