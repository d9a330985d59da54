-- +goose Up
-- Times are milliseconds since 1970 by the database's clock. On PostgreSQL, BLOB is BYTEA and
-- WITHOUT ROWID is left out.

CREATE TABLE versions (
  project TEXT NOT NULL, tool TEXT NOT NULL, version BIGINT NOT NULL,
  kind TEXT NOT NULL, description TEXT NOT NULL, note TEXT NOT NULL, digest TEXT NOT NULL, manifest BLOB NOT NULL,
  created BIGINT NOT NULL, created_by TEXT NOT NULL,
  PRIMARY KEY (project, tool, version)
);

-- The runs that aren't over. It is narrow.
CREATE TABLE queue (
  run TEXT PRIMARY KEY, project TEXT NOT NULL, pool TEXT NOT NULL, needs TEXT NOT NULL, priority BIGINT NOT NULL,
  state TEXT NOT NULL,         -- queued until the runner reports another
  attempt BIGINT NOT NULL,     -- 0 until a runner has had it
  runner TEXT NOT NULL,        -- empty while it waits
  lease_until BIGINT NOT NULL, -- 0 while it waits
  started BIGINT NOT NULL,     -- when the first attempt began, or 0
  base BIGINT NOT NULL,        -- the number of events before this attempt
  last BIGINT NOT NULL,        -- the number of events
  bytes BIGINT NOT NULL, lines BIGINT NOT NULL,
  cancel BIGINT NOT NULL       -- when its end was asked for, or 0
) WITHOUT ROWID;
CREATE INDEX queue_waiting ON queue (pool, priority DESC, run) WHERE runner = '';
CREATE INDEX queue_leased ON queue (lease_until) WHERE runner <> '';
CREATE INDEX queue_cancelling ON queue (run) WHERE cancel > 0;

-- All runs. What is in both tables is the queue's while the run isn't over.
CREATE TABLE runs (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, tool TEXT NOT NULL, version BIGINT NOT NULL, kind TEXT NOT NULL,
  status TEXT NOT NULL, exit_code BIGINT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
  pool TEXT NOT NULL, runner TEXT NOT NULL, attempt BIGINT NOT NULL, priority BIGINT NOT NULL, labels TEXT NOT NULL, needs TEXT NOT NULL,
  accepted BIGINT NOT NULL, accepted_by TEXT NOT NULL, started BIGINT NOT NULL, finished BIGINT NOT NULL,
  events BIGINT NOT NULL, bytes BIGINT NOT NULL, lines BIGINT NOT NULL
);
CREATE INDEX runs_of_project ON runs (project, id DESC);
CREATE INDEX runs_of_tool ON runs (project, tool, id DESC);
CREATE INDEX runs_by_status ON runs (project, status, id DESC);

CREATE TABLE requests (run TEXT PRIMARY KEY, request BLOB NOT NULL);
CREATE TABLE results (run TEXT PRIMARY KEY, result BLOB NOT NULL);

CREATE TABLE chunks (
  run TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, first_line BIGINT NOT NULL, lines BIGINT NOT NULL,
  bytes BIGINT NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (run, first)
);

CREATE TABLE tokens (
  hash BLOB PRIMARY KEY, name TEXT NOT NULL, project TEXT NOT NULL, role TEXT NOT NULL, pool TEXT NOT NULL,
  created BIGINT NOT NULL, expires BIGINT NOT NULL,
  UNIQUE (project, name)
);

CREATE TABLE runners (
  holder TEXT PRIMARY KEY, pool TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, labels TEXT NOT NULL, slots BIGINT NOT NULL,
  drain BIGINT NOT NULL, -- when it was told to take nothing new, or 0
  seen BIGINT NOT NULL
);

CREATE TABLE secrets (
  project TEXT NOT NULL, name TEXT NOT NULL, version BIGINT NOT NULL, sealed BLOB NOT NULL, tools TEXT NOT NULL,
  set_at BIGINT NOT NULL, set_by TEXT NOT NULL, used BIGINT NOT NULL, used_by TEXT NOT NULL,
  PRIMARY KEY (project, name)
);
