#!/usr/bin/env bash
# Fuzzes every fuzz target of the project for a while: usage test/fuzz.sh 10s
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:?usage: test/fuzz.sh DURATION}
grep -rlE '^func Fuzz' --include='*_test.go' internal test | sort | while read -r file; do
  sed -nE 's/^func (Fuzz[A-Za-z0-9]+).*/\1/p' "$file" | while read -r target; do
    echo "fuzz $target in $(dirname "$file")"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 20x "./$(dirname "$file")"
  done
done
