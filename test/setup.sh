#!/usr/bin/env bash
# Installs the Debian packages that building and testing need and that are missing.
set -euo pipefail

need=()
for p in gcc libc6-dev libseccomp-dev pkg-config busybox-static mmdebstrap uidmap runsc iproute2 xz-utils bzip2 python3 python3-pytest postgresql xfsprogs e2fsprogs systemd; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || need+=("$p")
done
# Clients that the tests of mocks use, what builds the pages, and the browser that tests them. They need not come from a Debian package.
for p in curl wget git node:nodejs npm chromium; do
  command -v "${p%:*}" >/dev/null || need+=("${p#*:}")
done
[ ${#need[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ]; then
  echo "test/setup.sh: these Debian packages are missing: ${need[*]}; install them as root, or run this as root" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Tests start PostgreSQL themselves. Without this, the package would make a database for the machine, and start it.
cluster=/etc/postgresql-common/createcluster.d/mayfly.conf
if [[ " ${need[*]} " == *" postgresql "* ]]; then
  trap 'rm -f "$cluster"' EXIT
  install -d "${cluster%/*}"
  echo "create_main_cluster = off" >"$cluster"
fi
echo "installing ${need[*]}" >&2
apt-get update -qq -o Acquire::Retries=5
apt-get install -o Acquire::Retries=5 -y -qq --no-install-recommends "${need[@]}" >/dev/null
