#!/usr/bin/env bash
# Runs tests in a virtual machine with what this machine may lack: cgroup v2, systemd, AppArmor, and Debian's own kernel.
# Usage: test/vm/run.sh [-run REGEXP]; the regexp chooses the attacks of test/security and test/network, "." all of them.
#
# The machine is emulated, so it needs no KVM and is about thirty times slower. It runs the tests as a systemd service at
# boot. The checkout is mounted over 9p, read-only, at the path that it has here. The output comes back as a file.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/test/vm
build=$root/.build/vm
attacks='^Test(I06|I08|I09|I10|I12|I13|I15|I22|I23_(TheNamespaces|WhatDelegation|Definitions)|I24|I14_Rootless|I18_Rootless|S01)'
networks='^TestN0[256]_'
[ "${1:-}" != -run ] || attacks=${2:?usage: test/vm/run.sh [-run REGEXP]} networks=$2

need=()
for p in qemu-system-x86 e2fsprogs mmdebstrap; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || need+=("$p")
done
if [ ${#need[@]} -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi

mkdir -p "$build"
want=$(cat "$here/image.sh" "$here/mayfly-test.service" | sha256sum)
if [ "$(cat "$build/inputs" 2>/dev/null)" != "$want" ]; then
  "$here/image.sh" "$build"
  echo "$want" >"$build/inputs"
fi

make --no-print-directory -C "$root" build
rm -rf "$build/share"
mkdir "$build/share"
cd "$root"
cp -r bin "$build/share/"
export CGO_ENABLED=0
go build -o "$build/share/attacker" ./test/security/attacker
cp "$(go list -m -f '{{.Dir}}' golang.org/x/sys)/unix/zsysnum_linux_$(go env GOARCH).go" "$build/share/"
go build -o "$build/share/client" ./test/network/client
go test -c -o "$build/share/oci.test" ./internal/oci
go test -c -o "$build/share/security.test" ./test/security
go test -c -o "$build/share/network.test" ./test/network
cat >"$build/share/tests.sh" <<EOF
export HOME=/root MAYFLY_TEST_BIN=/share/bin MAYFLY_TEST_PROGRAMS=/share MAYFLY_TEST_PATIENCE=10m TMPDIR=/var/tmp
mkdir -p '$root' && mount -t 9p -o trans=virtio,version=9p2000.L,ro checkout '$root'
mount | grep cgroup; uname -sr
cd '$root/internal/oci' && /share/oci.test -test.v -test.timeout 15m; oci=\$?
cd '$root/test/security' && /share/security.test -test.v -test.timeout 80m -test.run '$attacks'; security=\$?
cd '$root/test/network' && /share/network.test -test.v -test.timeout 30m -test.run '$networks'; network=\$?
[ \$oci = 0 ] && [ \$security = 0 ] && [ \$network = 0 ] && touch /share/passed
EOF

touch "$build/share/log"
tail -f "$build/share/log" &
tail=$!
trap 'kill $tail' EXIT
timeout 110m qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 4096 -display none -no-reboot \
  -serial "file:$build/console" -monitor none -net none \
  -kernel "$build/vmlinuz" -initrd "$build/initrd" -append "root=/dev/vda rw console=ttyS0 systemd.show_status=0" \
  -drive "file=$build/root.img,if=virtio,format=raw,snapshot=on" \
  -virtfs "local,path=$root,mount_tag=checkout,security_model=none,readonly=on" \
  -virtfs "local,path=$build/share,mount_tag=share,security_model=none"
if [ ! -e "$build/share/passed" ]; then
  echo "test/vm/run.sh: the tests failed; the machine's console is in $build/console" >&2
  exit 1
fi
echo "test/vm/run.sh: passed"
