#!/usr/bin/env bash
# Makes the disk, kernel and initrd of the test machine from Debian packages. Usage: test/vm/image.sh DIR
set -euo pipefail
dir=${1:?usage: test/vm/image.sh DIR}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "making the test machine: about three minutes" >&2
mmdebstrap --quiet --variant=minbase --include=linux-image-amd64,systemd,systemd-sysv,udev,dbus,dbus-user-session,libpam-systemd,uidmap,passwd,apparmor,busybox-static,iproute2,kmod,runsc \
  bookworm "$work/root"
cp "$work"/root/boot/vmlinuz-* "$dir/vmlinuz"
cp "$work"/root/boot/initrd.img-* "$dir/initrd"
echo mayfly-test >"$work/root/etc/hostname"
mkdir "$work/root/share"
cp "$here/mayfly-test.service" "$work/root/etc/systemd/system/"
mkdir -p "$work/root/etc/systemd/system/multi-user.target.wants"
ln -s ../mayfly-test.service "$work/root/etc/systemd/system/multi-user.target.wants/"
truncate -s 4G "$dir/root.img"
mkfs.ext4 -qF -d "$work/root" "$dir/root.img"
