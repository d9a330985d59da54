#!/usr/bin/env bash
# Tests the build of the pages: in another folder, from the sources alone and with Debian 12's Node 18, it gives the same bytes as web/dist has. With
# MAYFLY_TEST_FULL also two builds with this machine's node, and the checks and tests of the pages with Node 18.
# Usage: test/web-build.sh, after make web and make web/src/api/schema.ts (as root: Node 18 gets a mount namespace of its own)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# built makes the pages in a folder of their own, and compares them with web/dist. Further arguments go before the command.
built() {
  local name=$1 dir=$work/$1 start=$SECONDS
  shift
  mkdir "$dir"
  tar --exclude=web/node_modules --exclude='web/dist/[!p]*' -c Makefile web | tar -x -C "$dir"
  if ! "$@" make --no-print-directory -C "$dir" web >"$work/log" 2>&1 || grep -qv -e '^npm ' -e '^$' -e '^added [0-9]* packages' "$work/log"; then
    echo "test/web-build.sh: make web with $name fails, or says more than what it does:" >&2
    cat "$work/log" >&2
    return 1
  fi
  if ! diff -r web/dist "$dir/web/dist" >"$work/differences"; then
    echo "test/web-build.sh: the pages that $name makes in a clean folder differ from web/dist:" >&2
    head -c 2000 "$work/differences" >&2
    return 1
  fi
  echo "$name: the same $(find web/dist -type f | wc -l) files in $((SECONDS - start)) s"
}

# node18 unpacks Debian's Node 18, with what it needs, into .build/node18.
node18() {
  local version root=.build/node18
  versions() { apt-cache madison nodejs | awk '$3 ~ /^18\./ {print $3}'; }
  [ -n "$(versions)" ] || apt-get update -qq -o Acquire::Retries=5
  version=$(versions | head -1)
  [ -n "$version" ] || return 1
  [ "$(cat $root/version 2>/dev/null)" = "$version" ] && return
  rm -rf $root
  mkdir -p $root/usr "$work/packages"
  download() {
    (cd "$work/packages" && apt-get download -qq -o Acquire::Retries=5 "nodejs=$version" "libnode108=$version" \
      libuv1 libc-ares2 libicu72 libnghttp2-14 libbrotli1 node-acorn node-busboy node-cjs-module-lexer node-undici node-xtend 2>&1)
  }
  download >"$work/log" || { apt-get update -qq -o Acquire::Retries=5 && download >"$work/log"; } || { cat "$work/log" >&2; exit 1; }
  for p in "$work/packages"/*.deb; do dpkg-deb -x "$p" $root; done
  echo "$version" >$root/version
}

here="node $(node --version)"
with18() {
  # Debian's node reads parts of itself in /usr/share: it has its place there.
  unshare --mount sh -c 'mount -t overlay overlay -o "lowerdir=$0/usr:/usr" /usr && exec "$@"' "$PWD/.build/node18" "$@"
}

[ -z "${MAYFLY_TEST_FULL:-}" ] || { built "$here" && built "$here again"; }
if [[ $here == *v18.* ]]; then
  built "$here"
elif ! node18; then
  echo "test/web-build.sh: this machine's Debian has no Node 18, so only $here is tested" >&2
  built "$here"
else
  name="node $(with18 node --version)"
  built "$name" with18
  if [ -n "${MAYFLY_TEST_FULL:-}" ]; then
    for script in lint check unit; do with18 npm run --prefix "$work/$name/web" --silent $script; done
  fi
fi
