#!/bin/sh
# Calls a mocked command.
out=$(printf 'from sh' | deploy --app 'a b' '' 2>/tmp/error)
status=$?
printf 'command\t%s %s %s\n' "$out" "$(cat /tmp/error)" $status
