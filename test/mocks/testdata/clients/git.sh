#!/bin/bash
# Clones by HTTPS a repository that mocks serve (by git's dumb protocol), and one that they don't serve.
cd /tmp
one() {
  case $1 in
    clone) git clone -q https://git.example/repo.git copy 2>&1 && git -C copy log --format=%s ;;
    unmatched-tls) git clone -q https://no.such.example/hallo 2>&1 | grep -o 'reset' | head -n 1 ;;
    *) echo unknown ;;
  esac
}
for feature; do printf '%s\t%s\n' "$feature" "$(one "$feature")"; done
