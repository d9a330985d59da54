package main

import (
	"archive/tar"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
	group  = "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n"
)

// writeBusybox writes a tar of the smallest root file system in which scripts run: busybox with a link for every applet. All
// files have the time when.
func writeBusybox(binary, out string, when time.Time) (err error) {
	body, err := os.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("%w: install busybox-static", err)
	}
	if err := checkStatic(binary); err != nil {
		return err
	}
	list, err := exec.Command(binary, "--list").Output()
	if err != nil {
		return fmt.Errorf("list the applets of %s: %w", binary, err)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r := &rootfs{w: tar.NewWriter(f), when: when}
	for _, d := range []struct {
		name string
		mode int64
		id   int
	}{
		{"./", 0o755, 0},
		{"bin/", 0o755, 0},
		{"dev/", 0o755, 0},
		{"etc/", 0o755, 0},
		{"home/", 0o755, 0},
		{"home/user/", 0o750, 1000},
		{"proc/", 0o555, 0},
		{"root/", 0o700, 0},
		{"run/", 0o755, 0},
		{"sys/", 0o555, 0},
		{"tmp/", 0o1777, 0},
		{"usr/", 0o755, 0},
		{"var/", 0o755, 0},
		{"var/tmp/", 0o1777, 0},
	} {
		r.add(tar.Header{Typeflag: tar.TypeDir, Name: d.name, Mode: d.mode, Uid: d.id, Gid: d.id}, nil)
	}
	r.add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644}, []byte(passwd))
	r.add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/group", Mode: 0o644}, []byte(group))
	r.add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755}, body)
	applets := strings.Fields(string(list))
	slices.Sort(applets)
	for _, a := range slices.Compact(applets) {
		if a != "busybox" {
			r.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + a, Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	// Scripts begin with #!/usr/bin/env.
	r.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/bin", Linkname: "../bin", Mode: 0o777}, nil)
	r.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/sbin", Linkname: "../bin", Mode: 0o777}, nil)
	r.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "sbin", Linkname: "bin", Mode: 0o777}, nil)
	if r.err != nil {
		return r.err
	}
	return r.w.Close()
}

// rootfs writes a tar and keeps the first error.
type rootfs struct {
	w    *tar.Writer
	when time.Time
	err  error
}

func (r *rootfs) add(h tar.Header, body []byte) {
	h.ModTime, h.Size = r.when, int64(len(body))
	if r.err == nil {
		r.err = r.w.WriteHeader(&h)
	}
	if r.err == nil {
		_, r.err = r.w.Write(body)
	}
}

// checkStatic returns an error for a binary that needs an ELF interpreter, which the image doesn't have.
func checkStatic(binary string) error {
	f, err := elf.Open(binary)
	if err != nil {
		return fmt.Errorf("%s: %w", binary, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not static: install busybox-static", binary)
		}
	}
	return nil
}
