-- +goose Up
ALTER TABLE queue ADD COLUMN secrets BLOB; -- those that the run was given, sealed; they go with its row when it is over
