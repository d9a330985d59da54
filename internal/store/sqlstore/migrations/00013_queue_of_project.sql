-- +goose Up
-- Only statements that say last >= 0, which is true of all rows, can use this index. A claim, which says runner = '' too, would read all runs of a project by it and
-- sort them; by queue_waiting it reads only the next ones.
DROP INDEX queue_of_project;
CREATE INDEX queue_of_project ON queue (project) WHERE runner = '' AND last >= 0;
