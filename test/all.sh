#!/usr/bin/env bash
# Runs targets of the Makefile, all of them even if one fails, and ends with a list of the targets and of the tests that
# failed. Usage: test/all.sh TARGET ...; the exit status is 1 if a target failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

failed=0
list=()
for part in "$@"; do
  echo "==> make $part"
  start=$SECONDS
  result=ok
  make --no-print-directory "$part" 2>&1 | tee -a "$log" || { result=FAIL failed=1; }
  list+=("$(printf '%-4s  %-14s %5ss' "$result" "$part" $((SECONDS - start)))")
done

echo "==> summary"
# The lines that go test and Python's unittest print for a failed test or package.
grep -E '^ *--- FAIL: |^FAIL[[:space:]]+[^[:space:]]|^(FAIL|ERROR): ' "$log" | sort -u
printf '%s\n' "${list[@]}"
exit "$failed"
