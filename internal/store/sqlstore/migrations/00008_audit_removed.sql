-- +goose Up
-- The audit log may begin later: the number and the hash of the last entry that was removed from its beginning.
ALTER TABLE audit_head ADD COLUMN removed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_head ADD COLUMN removed_hash TEXT NOT NULL DEFAULT '0000000000000000000000000000000000000000000000000000000000000000';
