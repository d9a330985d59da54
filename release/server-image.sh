#!/usr/bin/env bash
# Writes an image of the server, FROM scratch and not root, with the programs of a folder. It needs no docker; docker load, podman load,
# skopeo and mayfly image load read it.
# Usage: release/server-image.sh PROGRAMS ARCHIVE [ARCHITECTURE]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ $# -lt 2 ]; then
  echo "usage: release/server-image.sh PROGRAMS ARCHIVE [ARCHITECTURE]" >&2
  exit 2
fi
programs=$1 archive=$2 arch=${3:-$(go env GOHOSTARCH)}
certificates=/etc/ssl/certs/ca-certificates.crt # the authorities that vouch for a database or an archive elsewhere
if [ ! -f "$certificates" ]; then
  echo "release/server-image.sh: $certificates is missing; install the Debian package ca-certificates" >&2
  exit 1
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
id=65532 # an id that no system gives to a user
mkdir -p "$work/root/usr/bin" "$work/root/etc/ssl/certs" "$work/root/tmp" "$work/data" "$(dirname "$archive")"
install -m 755 "$programs/mayflyd" "$programs/mayfly-cel" "$work/root/usr/bin"
install -m 644 "$certificates" "$work/root/etc/ssl/certs"
echo "mayfly:x:$id:$id::/data:/" >"$work/root/etc/passwd"
echo "mayfly:x:$id:" >"$work/root/etc/group"
chmod 1777 "$work/root/tmp"
chmod 700 "$work/data"
settings=(--sort=name --numeric-owner --format=gnu --mtime="@$SOURCE_DATE_EPOCH")
tar -C "$work/root" "${settings[@]}" --owner=0 --group=0 -cf "$work/root.tar" etc tmp usr
tar -C "$work" "${settings[@]}" --owner=$id --group=$id -rf "$work/root.tar" data
CGO_ENABLED=0 go build -trimpath -o "$work/mkimage" ./images/mkimage
"$work/mkimage" -name mayfly/server:latest -rootfs "$work/root.tar" -out "$archive" -arch "$arch" -epoch "$SOURCE_DATE_EPOCH" \
  -user "$id:$id" -env PATH=/usr/bin -env SSL_CERT_FILE=$certificates -volume /data \
  -entrypoint /usr/bin/mayflyd -entrypoint server -cmd --data -cmd /data -cmd --listen -cmd :6293
echo "$archive: mayfly/server:latest, $(stat -c %s "$archive") bytes"
