-- +goose Up
ALTER TABLE runners ADD COLUMN kept TEXT NOT NULL DEFAULT ''; -- JSON: the runs whose sandboxes it keeps, and until when; it says so again and again
