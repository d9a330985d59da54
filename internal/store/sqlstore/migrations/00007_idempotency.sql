-- +goose Up
-- The answers to requests with an Idempotency-Key, each written with what it is about.
CREATE TABLE answers (
  token BLOB NOT NULL, -- the hash of the token
  idempotency_key TEXT NOT NULL, print BLOB NOT NULL, body BLOB NOT NULL, created BIGINT NOT NULL,
  PRIMARY KEY (token, idempotency_key)
);
CREATE INDEX answers_by_age ON answers (created);
