-- +goose Up
ALTER TABLE chunks ADD COLUMN checksum BIGINT NOT NULL DEFAULT -1; -- store.Chunk.Sum, or -1 for those before this version
-- What was moved to the archive has no data here: it is size bytes from at on of an object.
ALTER TABLE chunks ADD COLUMN object TEXT NOT NULL DEFAULT '';
ALTER TABLE chunks ADD COLUMN at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE chunks ADD COLUMN size BIGINT NOT NULL DEFAULT 0;
CREATE INDEX chunks_by_line ON chunks (run, (first_line + lines), first);

ALTER TABLE runs ADD COLUMN kept BIGINT NOT NULL DEFAULT 0;        -- when its log got its final form, or 0
ALTER TABLE runs ADD COLUMN object TEXT NOT NULL DEFAULT '';       -- the log's object in the archive; empty while it is here
ALTER TABLE runs ADD COLUMN stored BIGINT NOT NULL DEFAULT 0;      -- the bytes that the log takes in its final form
ALTER TABLE runs ADD COLUMN log_removed BIGINT NOT NULL DEFAULT 0; -- when retention removed the log, or 0
ALTER TABLE runs ADD COLUMN claim TEXT NOT NULL DEFAULT '';        -- who puts the log into its final form
ALTER TABLE runs ADD COLUMN claim_until BIGINT NOT NULL DEFAULT 0;
CREATE INDEX runs_to_keep ON runs (finished) WHERE finished > 0 AND kept = 0;
CREATE INDEX runs_with_logs ON runs (finished, stored) WHERE finished > 0 AND log_removed = 0;
CREATE INDEX runs_ended ON runs (finished) WHERE finished > 0;
