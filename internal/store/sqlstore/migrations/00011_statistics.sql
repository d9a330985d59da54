-- +goose Up
-- How runs of no step ended, in each hour and each day: a row for each tool, and one for all, *, written with the ends. See store.Histogram for
-- took0 and the others.
CREATE TABLE ended (
  project TEXT NOT NULL, span BIGINT NOT NULL, -- an hour or a day, in milliseconds
  tool TEXT NOT NULL, start BIGINT NOT NULL,
  shard BIGINT NOT NULL, -- servers that share a database write to different rows, so that they don't wait for each other
  waited BIGINT NOT NULL, waited_most BIGINT NOT NULL, -- milliseconds until a runner had them: in all, and the most
  succeeded BIGINT NOT NULL, failed BIGINT NOT NULL, timed_out BIGINT NOT NULL, cancelled BIGINT NOT NULL, out_of_memory BIGINT NOT NULL, denied BIGINT NOT NULL, error BIGINT NOT NULL, lost BIGINT NOT NULL,
  took0 BIGINT NOT NULL, took1 BIGINT NOT NULL, took2 BIGINT NOT NULL, took3 BIGINT NOT NULL, took4 BIGINT NOT NULL, took5 BIGINT NOT NULL, took6 BIGINT NOT NULL, took7 BIGINT NOT NULL,
  took8 BIGINT NOT NULL, took9 BIGINT NOT NULL, took10 BIGINT NOT NULL, took11 BIGINT NOT NULL, took12 BIGINT NOT NULL, took13 BIGINT NOT NULL, took14 BIGINT NOT NULL, took15 BIGINT NOT NULL,
  took16 BIGINT NOT NULL, took17 BIGINT NOT NULL, took18 BIGINT NOT NULL, took19 BIGINT NOT NULL, took20 BIGINT NOT NULL, took21 BIGINT NOT NULL, took22 BIGINT NOT NULL, took23 BIGINT NOT NULL,
  took24 BIGINT NOT NULL, took25 BIGINT NOT NULL, took26 BIGINT NOT NULL, took27 BIGINT NOT NULL, took28 BIGINT NOT NULL,
  PRIMARY KEY (project, span, tool, start, shard)
) WITHOUT ROWID;
CREATE INDEX ended_by_age ON ended (span, start);
