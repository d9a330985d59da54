#!/bin/bash
# Clones what mocks serve of a repository (the dumb protocol) by https, and what they don't.
cd /tmp
one() {
  case $1 in
    clone) git clone -q https://git.example/repo.git copy 2>&1 && git -C copy log --format=%s ;;
    unmatched-tls) git clone -q https://no.such.example/hallo 2>&1 | grep -o 'reset' | head -n 1 ;;
    *) echo unknown ;;
  esac
}
for feature; do printf '%s\t%s\n' "$feature" "$(one "$feature")"; done
