#!/usr/bin/env bash
# Called by images/build.sh with a root directory in which packages are unpacked, and the image's name. Does the necessary
# part of what the packages' scripts would have done, and removes what the image doesn't need.
set -euo pipefail
dir=$1 name=$2
[ -n "$dir" ] && [ "$dir" != / ] && [ -d "$dir/usr" ] || { echo "slim.sh: $dir is not a root directory" >&2; exit 1; }
cd "$dir"

# The result of update-ca-certificates, without running it.
mkdir -p etc/ssl/certs
find usr/share/ca-certificates -name '*.crt' | sort | xargs cat >etc/ssl/certs/ca-certificates.crt

# Documentation, locales except C, and package management: a tool installs nothing.
rm -rf boot lib32 libx32 usr/lib{32,x32} usr/share/{doc,doc-base,man,info,locale,lintian,bug,menu,perl5,debconf,debianutils,bash-completion,ca-certificates,common-licenses,pixmaps,applications,base-files,dict,initramfs-tools,zsh,polkit-1,binfmts,dpkg,readline} \
  var/lib/{apt,dpkg,pam,systemd} var/cache/* var/log/* var/backups etc/{apt,dpkg,cron.*,debconf.conf,ca-certificates,update-motd.d,issue*,fstab,systemd,init.d,rc?.d,default,logrotate.d,skel,pam.d,security} \
  usr/lib/{apt,dpkg,systemd,tmpfiles.d,init,udev} usr/share/{keyrings,zoneinfo,pam,pam-configs}
# Dependencies of packages whose scripts never run here.
rm -rf usr/lib/*-linux-gnu/{perl-base,perl,gconv,audit,security,engines-3,ossl-modules} usr/lib/*-linux-gnu/lib{apt,perl}*.so* \
  usr/share/perl usr/bin/{perl*,openssl,c_rehash,debconf*,dpkg*,apt*,deb-*,bashbug,localedef} usr/sbin/{update-ca-certificates,dpkg*,*-debconf}

# busybox replaces coreutils. A program that a package brought stays.
for applet in $(usr/bin/busybox --list); do
  [ -e "usr/bin/$applet" ] || [ -L "usr/bin/$applet" ] || [ -e "usr/sbin/$applet" ] || ln -s busybox "usr/bin/$applet"
done
# busybox's shell runs its own wget and date and doesn't search PATH, where mocks are.
if [ -e usr/bin/bash ]; then ln -sf bash usr/bin/sh; else ln -sf busybox usr/bin/sh; fi

mkdir -p etc home/user root tmp var/tmp run proc sys dev usr/local/bin
cat >etc/passwd <<'P'
root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
P
cat >etc/group <<'P'
root:x:0:
user:x:1000:
nogroup:x:65534:
P
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >etc/nsswitch.conf
: >etc/resolv.conf
: >etc/hosts
rm -f etc/hostname etc/machine-id etc/shadow etc/gshadow etc/passwd- etc/group-
chown 1000:1000 home/user
chmod 0750 home/user
chmod 0700 root
chmod 1777 tmp var/tmp
rm -rf --one-file-system dev/* run/* tmp/* # a sandbox has its own

if [ "$name" = python ] || [ "$name" = clients ]; then
  # Python compiles its modules once here and not in every run, whose file system is read-only. The hash of the source
  # instead of its time keeps the bytes the same.
  rm -rf usr/lib/python3*/{test,idlelib,tkinter,turtledemo,lib2to3/tests,distutils/tests}
  rm -rf usr/share/python3/debpython usr/share/{python-wheels,pythons} usr/lib/python3/dist-packages/*/tests
  chroot . /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3 $(cd usr/lib && ls -d python3.*/ | sed 's|^|/usr/lib/|') >/dev/null
  chroot . /usr/bin/python3 -c 'import requests, ssl, json, sqlite3' >/dev/null
  ln -sf python3 usr/bin/python
fi
# Check that the programs still run after the removals.
case $name in
  kubectl) chroot . /usr/bin/kubectl version --client >/dev/null ;;
  java)
    mount -t proc proc proc # Java finds its own path there
    chroot . /usr/lib/jvm/default-java/bin/java -version 2>/dev/null || { umount proc; exit 1; }
    umount proc
    ;;
  clients)
    chroot . /usr/bin/curl --version >/dev/null
    chroot . /usr/bin/wget --version >/dev/null
    chroot . /usr/bin/node -e 'if (typeof fetch != "function") process.exit(1)'
    chroot . /usr/bin/python3 -c 'import aiohttp, requests'
    ;;
  *)
    chroot . /usr/bin/curl --version >/dev/null
    chroot . /usr/bin/jq -n 1 >/dev/null
    ;;
esac
# Remove setuid and setgid bits: a program runs as the user who starts it.
find . -xdev -perm /6000 -type f -exec chmod ug-s {} +
