-- +goose Up
-- For statements that say last >= 0, which all rows have, and for no others: a claim in the order of queue_waiting would read all of a project by this index and sort them.
DROP INDEX queue_of_project;
CREATE INDEX queue_of_project ON queue (project) WHERE runner = '' AND last >= 0;
