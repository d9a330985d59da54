-- +goose Up
-- Runs are claimed from the projects in turn. Those that can't be are passed over by their limits and needs.
DROP INDEX queue_waiting;
CREATE INDEX queue_of_project ON queue (project) WHERE runner = '';

ALTER TABLE queue ADD COLUMN cpu BIGINT NOT NULL DEFAULT 0;    -- thousandths of a processor
ALTER TABLE queue ADD COLUMN memory BIGINT NOT NULL DEFAULT 0; -- bytes
ALTER TABLE queue ADD COLUMN disk BIGINT NOT NULL DEFAULT 0;   -- bytes
ALTER TABLE queue ADD COLUMN retries BIGINT NOT NULL DEFAULT 0; -- how often it may still be given to another runner after its own is lost
ALTER TABLE queue ADD COLUMN limits TEXT NOT NULL DEFAULT '';  -- how many runs like it may run at once, in JSON; empty for none
CREATE INDEX queue_waiting ON queue (pool, project, priority DESC, run, limits, needs) WHERE runner = '';
CREATE INDEX queue_runner ON queue (runner) WHERE runner <> '';

-- The runs with limits that runners have. A row whose run waits again, or is over, doesn't count.
CREATE TABLE running (name TEXT NOT NULL, run TEXT NOT NULL, PRIMARY KEY (name, run)) WITHOUT ROWID;
CREATE INDEX running_of_run ON running (run);

ALTER TABLE runs ADD COLUMN cpu BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN memory BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN disk BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN limits TEXT NOT NULL DEFAULT '';

ALTER TABLE runners ADD COLUMN capacity TEXT NOT NULL DEFAULT '';
