#!/usr/bin/env bash
# Writes a release to a folder: for each architecture a tarball, a Debian package and an SBOM, and SHA256SUMS of them all.
# Usage: VERSION=v1.2.0 release/build.sh FOLDER ARCHITECTURE...     architectures: amd64, arm64
#
# The same commit, Go and Debian packages give the same bytes (SOURCE_DATE_EPOCH is the commit's time). Any Node from 18 on builds the same pages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ $# -lt 2 ]; then
  echo "usage: VERSION=v1.2.0 release/build.sh FOLDER ARCHITECTURE..." >&2
  exit 2
fi
version=${VERSION:-$(git describe --tags --always --dirty)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# Versions that file names and deb-version(7) allow: v1.2.0-rc.1 becomes 1.2.0~rc.1, which sorts before 1.2.0. A commit sorts
# before every release.
plain=${version#v}
debian=$(sed 's/-rc/~rc/; s/-/+/g; s/^[^0-9]/0~&/' <<<"$plain")
[[ $debian =~ ^[0-9]+\. ]] || debian="0~$debian"

# compiler prints the C compiler for an architecture. For another one than this machine's, it uses the C library of Debian's
# arm64 port, which has its security fixes; the copy that comes with the cross compiler doesn't have them.
compiler() {
  local dir=/usr/lib/aarch64-linux-gnu
  if [ "$1" = "$(dpkg --print-architecture)" ]; then echo gcc; else echo "aarch64-linux-gnu-gcc -B$dir -L$dir"; fi
}

# libraries prints the Debian packages that mayfly-shim is linked with. They also have the licenses.
libraries() {
  local cc
  read -ra cc <<<"$(compiler "$1")"
  echo "libc6-dev:$1"
  echo "libseccomp-dev:$1"
  dpkg-query -S "$("${cc[@]}" -print-libgcc-file-name)" | sed 's,: /.*,,'
}

# cross_setup installs what mayfly-shim needs for another architecture, if it is missing.
cross_setup() {
  local need=()
  for p in gcc-aarch64-linux-gnu libc6-dev-arm64-cross libc6-dev:arm64 libseccomp-dev:arm64; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || need+=("$p")
  done
  [ ${#need[@]} -eq 0 ] && return
  if [ "$(id -u)" != 0 ]; then
    echo "release/build.sh: these Debian packages are missing: ${need[*]}; install them as root (dpkg --add-architecture arm64), or run this as root" >&2
    exit 1
  fi
  dpkg --add-architecture arm64
  apt-get update -qq -o Acquire::Retries=5
  DEBIAN_FRONTEND=noninteractive apt-get install -o Acquire::Retries=5 -y -qq --no-install-recommends "${need[@]}" >/dev/null
}

# in_make runs targets of the Makefile for an architecture.
in_make() {
  local arch=$1 settings=(GOOS=linux GOARCH="$1")
  shift
  if [ "$arch" != "$(dpkg --print-architecture)" ]; then
    settings+=(CC="$(compiler "$arch")" PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig)
  fi
  env "${settings[@]}" make --no-print-directory VERSION="$version" BIN="$work/$arch/programs" PAGES="$work/pages" "$@" >&2
}

# licenses prints the licenses of everything that the programs contain. A module without a license stops the release.
licenses() {
  local arch=$1 name dir files
  GOARCH=$arch CGO_ENABLED=1 go list -deps -tags seccomp,netgo,osusergo,shim \
    -f '{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/... | sort -u >"$work/modules"
  echo "go $(go env GOVERSION) $(go env GOROOT)" | sed 's/^go go/std@/' >>"$work/modules"
  while read -r name dir; do
    files=$(find "$dir" -maxdepth 1 -type f \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'patents*' \) | sort)
    if [ -z "$files" ]; then
      echo "release/build.sh: $name has no license in $dir" >&2
      return 1
    fi
    for f in $files; do printf '==== %s: %s\n\n' "$name" "$(basename "$f")" && cat "$f" && echo; done
  done <"$work/modules"
  for name in $(libraries "$arch"); do
    printf '==== Debian package %s\n\n' "$name" && cat "/usr/share/doc/${name%:*}/copyright" && echo
  done
  cat web/dist/licenses.txt # of the packages in the pages
}

# dated sets the time of everything in a folder to that of the release.
dated() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

# tarball writes a tarball with one folder, whose content may be unpacked over /usr/local.
tarball() {
  local arch=$1 name=mayfly-$plain-linux-$1
  local root=$work/$arch/$name
  in_make "$arch" install DESTDIR="$root" PREFIX=
  go run ./release/sbom -version "$version" -libraries "$(libraries "$arch" | paste -sd,)" -pages web/dist/licenses.txt "$root"/bin/* >"$root/sbom.cdx.json"
  cp "$root/sbom.cdx.json" "$out/$name.cdx.json"
  licenses "$arch" >"$root/THIRD-PARTY-LICENSES"
  cp LICENSE README.md CHANGELOG.md SECURITY.md "$root"
  dated "$root"
  tar -C "$work/$arch" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$name" | gzip -n >"$out/$name.tar.gz"
}

debian_package() {
  local arch=$1 from=$work/$1/mayfly-$plain-linux-$1 root=$work/$1/debian
  local doc=$root/usr/share/doc/mayfly
  mkdir -p "$root/DEBIAN" "$root/usr/share/zsh" "$doc"
  cp -R "$from/bin" "$root/usr"
  cp -R "$from/share/man" "$from/share/bash-completion" "$from/share/fish" "$root/usr/share"
  cp -R "$from/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"
  gzip -9n "$root"/usr/share/man/man1/*.1
  install -D -m 644 -t "$root/usr/lib/systemd/system" release/systemd/*.service
  { printf 'This is the license of Mayfly, followed by the licenses of everything that it contains.\n\n' && cat LICENSE "$from/THIRD-PARTY-LICENSES"; } >"$doc/copyright"
  gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
  cp "$from/sbom.cdx.json" "$doc"
  cat >"$root/DEBIAN/control" <<END
Package: mayfly
Version: $debian
Architecture: $arch
Maintainer: ${MAINTAINER:-The Mayfly authors <mayfly@localhost>}
Installed-Size: $(du -sk --apparent-size "$root/usr" | cut -f1)
Section: admin
Priority: optional
Recommends: uidmap
Suggests: runsc
Description: serverless tools for operations
 Mayfly runs operations tools, and workflows that chain them. A tool is a short
 YAML file, and each run has its own isolated container, which lives only as long
 as the run. There is no daemon to run.
END
  dated "$root"
  dpkg-deb --root-owner-group ${DEB_COMPRESSION:+-Z"$DEB_COMPRESSION"} --build "$root" "$out/mayfly_${debian}_$arch.deb" >/dev/null
}

rm -f "$out"/mayfly[-_]* "$out/SHA256SUMS"
for arch in "$@"; do
  case $arch in
    amd64) ;;
    arm64) cross_setup ;;
    *) echo "release/build.sh: no release for $arch; the architectures are amd64 and arm64" >&2 && exit 2 ;;
  esac
  mkdir -p "$work/$arch"
  tarball "$arch"
  debian_package "$arch"
done
(cd "$out" && sha256sum mayfly[-_]* >"$work/sums" && mv "$work/sums" SHA256SUMS)
ls -l "$out" >&2
