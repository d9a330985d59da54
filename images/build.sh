#!/usr/bin/env bash
# Builds the project's base images from the machine's Debian mirror, without Docker:
#
#   mayfly/busybox  only static busybox
#   mayfly/shell    busybox, bash, curl, wget, jq and certificates
#   mayfly/python   the shell image's content and Python 3 with requests
#   mayfly/kubectl  kubectl, for tests; only if it is named
#   mayfly/clients  programs that tools use (git, ssh, Node, Python and others), for tests; only if it is named
#   mayfly/java     a Java runtime, for tests of mocks; only if it is named
#
# usage: images/build.sh [--force] [busybox|shell|python|kubectl|clients|java]...
#
# Archives (OCI layout, which docker load also reads) go to $MAYFLY_IMAGES_DIR, .build/images by default. An archive whose
# inputs are unchanged isn't built again. Two builds at once are safe: the second waits.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${MAYFLY_IMAGES_DIR:-$root/.build/images}
force=0
names=()
for arg in "$@"; do
  case $arg in
    --force) force=1 ;;
    busybox | shell | python | kubectl | clients | java) names+=("$arg") ;;
    *) echo "images/build.sh: $arg: want --force, busybox, shell, python, kubectl, clients or java" >&2; exit 2 ;;
  esac
done
[ ${#names[@]} -gt 0 ] || names=(busybox shell python)

# All times in the images are the same, so that the same packages give the same bytes.
export SOURCE_DATE_EPOCH=1704067200 LC_ALL=C TZ=UTC

mkdir -p "$out"
exec 9>"$out/.lock"
flock 9

# The machine needs two packages. The python image doesn't need the machine's Python.
need=()
for p in busybox-static mmdebstrap; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || need+=("$p")
done
if [ ${#need[@]} -gt 0 ]; then
  apt-get install -y "${need[@]}" >&2 || { apt-get update >&2 && apt-get install -y "${need[@]}" >&2; }
fi

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" | head -n 1)
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 debian || true)
[ -n "$mirror" ] || { echo "images/build.sh: apt has no Debian source for $suite: run apt-get update" >&2; exit 1; }

# The inputs of an archive. Newer packages in the mirror are not among them: --force uses those.
inputs=$(cat "$root"/images/*.sh "$root"/images/mkimage/*.go "$root/go.sum" <(dpkg-query -W busybox-static) | sha256sum | cut -d' ' -f1)

work=$(mktemp -d "$out/.build-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT

mkimage() {
  [ -x "$work/mkimage" ] || (cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$work/mkimage" ./images/mkimage)
  "$work/mkimage" -epoch "$SOURCE_DATE_EPOCH" "$@"
}

# bootstrap NAME PACKAGES: unpacks packages and their dependencies, without running their scripts, and removes everything that
# a tool never runs.
bootstrap() {
  local name=$1 packages=$2 dir=$work/$1.root
  local try=1
  # A mirror may fail for a moment.
  until mmdebstrap --quiet --mode=root --variant=extract --format=directory --aptopt='Acquire::Retries "5"' \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include="$packages" \
    "$suite" "$dir" "deb $mirror $suite main" </dev/null >&2; do
    [ $try -lt 3 ] || return 1
    try=$((try + 1))
    rm -rf --one-file-system "$dir"
    sleep $((5 * try))
  done
  "$root/images/slim.sh" "$dir" "$name"
  tar --sort=name --numeric-owner --format=posix --pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime \
    --mtime="@$SOURCE_DATE_EPOCH" --clamp-mtime --one-file-system -C "$dir" -cf "$work/$name.tar" .
}

build() {
  local name=$1
  case $name in
    busybox)
      mkimage -name mayfly/busybox:latest -busybox /bin/busybox -env PATH=/bin -cmd /bin/sh -out "$out/busybox.tar"
      ;;
    shell)
      bootstrap shell busybox-static,bash,curl,wget,jq,ca-certificates
      mkimage -name mayfly/shell:latest -rootfs "$work/shell.tar" -out "$out/shell.tar" \
        -env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin -cmd /bin/bash
      ;;
    python)
      bootstrap python busybox-static,bash,curl,wget,jq,ca-certificates,python3,python3-requests
      mkimage -name mayfly/python:latest -rootfs "$work/python.tar" -out "$out/python.tar" \
        -env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin -env PYTHONUNBUFFERED=1 -env LANG=C.UTF-8 -cmd /usr/bin/python3
      ;;
    kubectl)
      bootstrap kubectl busybox-static,ca-certificates,kubernetes-client
      mkimage -name mayfly/kubectl:latest -rootfs "$work/kubectl.tar" -out "$out/kubectl.tar" \
        -env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin -cmd /usr/bin/kubectl
      ;;
    clients)
      bootstrap clients busybox-static,bash,curl,jq,ca-certificates,wget,git,nodejs,openssh-client,python3,python3-requests,python3-aiohttp,tar
      mkimage -name mayfly/clients:latest -rootfs "$work/clients.tar" -out "$out/clients.tar" \
        -env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin -env PYTHONUNBUFFERED=1 -env LANG=C.UTF-8 -cmd /bin/bash
      ;;
    java)
      bootstrap java busybox-static,ca-certificates,default-jre-headless
      mkimage -name mayfly/java:latest -rootfs "$work/java.tar" -out "$out/java.tar" \
        -env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/usr/lib/jvm/default-java/bin -cmd /usr/bin/java
      ;;
  esac
}

for name in "${names[@]}"; do
  if [ $force = 0 ] && [ -f "$out/$name.tar" ] && [ "$(cat "$out/$name.inputs" 2>/dev/null)" = "$inputs" ]; then
    echo "images/build.sh: $name is up to date"
    continue
  fi
  start=$SECONDS
  rm -f "$out/$name.inputs"
  build "$name"
  echo "$inputs" >"$out/$name.inputs"
  echo "images/build.sh: $name built in $((SECONDS - start)) s, $(stat -c %s "$out/$name.tar") bytes"
done
