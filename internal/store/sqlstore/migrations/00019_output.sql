-- +goose Up
ALTER TABLE chunks ADD COLUMN output BIGINT NOT NULL DEFAULT 0; -- 1 if all events are output; 0 if not, or for those before this version
