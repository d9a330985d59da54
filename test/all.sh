#!/usr/bin/env bash
# Runs targets of the Makefile, all of them even if one fails, and ends with a list of the targets and of the tests that
# failed. A "+" begins another row of targets, which runs at the same time as the row before it. The output of the last row
# appears at once, and that of a target in another row when the target has ended.
# Usage: test/all.sh TARGET ... [+ TARGET ...] ...; the exit status is 1 if a target failed.
set -uo pipefail
set -m # each row is a process group: what a part has started ends with it
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dir=$(mktemp -d)
end() {
  local pids pid
  pids=$(jobs -p)
  for pid in $pids; do kill -TERM -- "-$pid" && kill -CONT -- "-$pid"; done 2>/dev/null # a stopped row takes no other signal
  for pid in $pids; do # a row's shell ends before what it has started: wait for that, too, for a minute
    for _ in {1..300}; do kill -0 -- "-$pid" 2>/dev/null || continue 2; sleep 0.2; done
    kill -KILL -- "-$pid" 2>/dev/null
  done
  rm -rf "$dir"
}
trap end EXIT
trap 'unfinished; exit 130' INT
trap 'unfinished; exit 143' TERM

# unfinished prints the output so far of the targets that haven't ended, except for the last row's, whose output was printed at once.
unfinished() {
  for log in "$dir"/*.log; do
    [ -e "${log%.log}.result" ] || [ -e "${log%.log}.live" ] || { echo "==> output of make $(basename "$log" .log), which was interrupted"; cat "$log"; }
  done
}

# row LIVE PART ...: runs parts one after the other.
row() {
  local live=$1 part start result
  shift
  for part in "$@"; do
    start=$SECONDS
    result=ok
    echo "==> make $part"
    if [ "$live" = yes ]; then
      : >"$dir/$part.live"
      make --no-print-directory "$part" </dev/null 2>&1 | tee "$dir/$part.log" || result=FAIL
    else
      make --no-print-directory "$part" </dev/null >"$dir/$part.log" 2>&1 || result=FAIL
      { echo "==> output of make $part"; cat "$dir/$part.log"; }
    fi
    printf '%-4s  %-14s %5ss\n' "$result" "$part" $((SECONDS - start)) >"$dir/$part.result"
  done
}

case " $* " in # no row may be empty: it would run nothing, and succeed
  "  " | " + "* | *" + + "* | *" + ") echo "usage: test/all.sh TARGET ... [+ TARGET ...] ..." >&2; exit 2 ;;
esac
parts=()
beside=()
for arg in "$@"; do
  if [ "$arg" = + ]; then
    row no "${beside[@]}" &
    beside=()
  else
    beside+=("$arg")
    parts+=("$arg")
  fi
done
row yes "${beside[@]}" &
until wait 2>/dev/null; [ -z "$(jobs -ps)" ]; do sleep 1; done # wait returns although a row is stopped (SIGSTOP)

echo "==> summary"
# The lines that go test and Python's unittest print for a failed test or package.
(cd "$dir" && cat -- "${parts[@]/%/.log}") | grep -E '^ *--- FAIL: |^FAIL[[:space:]]+[^[:space:]]|^(FAIL|ERROR): ' | sort -u
failed=0
for part in "${parts[@]}"; do
  [ -e "$dir/$part.result" ] || printf 'FAIL  %-14s has no result: its row was killed\n' "$part" >"$dir/$part.result"
  cat "$dir/$part.result"
  grep -q ^ok "$dir/$part.result" || failed=1
done
exit "$failed"
