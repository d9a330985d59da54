-- +goose Up
-- The sessions that browsers have made from tokens.
CREATE TABLE sessions (
  hash BLOB PRIMARY KEY,  -- SHA-256 of what the cookie has
  token BLOB NOT NULL,    -- the hash of the token that it was made from
  created BIGINT NOT NULL, used BIGINT NOT NULL, expires BIGINT NOT NULL
);
CREATE INDEX sessions_of_token ON sessions (token);
