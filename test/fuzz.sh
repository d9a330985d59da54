#!/usr/bin/env bash
# Fuzzes every fuzz target of the project for the given time. Usage: test/fuzz.sh 10s
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:?usage: test/fuzz.sh DURATION}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz TARGET PACKAGE: fuzzes one target. Go's fuzzer may report a failure when its time ends during an execution ("context
# deadline exceeded", without a failing input). Then the target runs again.
fuzz() {
  local try
  for try in 1 2 3; do
    echo "fuzz $1 in $2"
    if go test -run '^$' -fuzz "^$1\$" -fuzztime "$time" -fuzzminimizetime 20x "./$2" </dev/null 2>&1 | tee "$log"; then
      return
    fi
    if ! grep -qx '    context deadline exceeded' "$log" || grep -q 'Failing input' "$log"; then
      return 1
    fi
  done
  return 1
}

failed=()
for file in $(grep -rlE '^func Fuzz' --include='*_test.go' internal test | sort); do
  for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9]+).*/\1/p' "$file"); do
    fuzz "$target" "$(dirname "$file")" || failed+=("$target")
  done
done
[ ${#failed[@]} -eq 0 ] || { printf 'FAIL: %s\n' "${failed[@]}"; exit 1; }
