package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/image"
)

// TestBusyboxImage checks that two builds of the busybox image are the same, and that Mayfly's store loads it.
func TestBusyboxImage(t *testing.T) {
	if _, err := os.Stat("/bin/busybox"); err != nil {
		t.Fatalf("%v: apt-get install busybox-static", err)
	}
	dir := t.TempDir()
	var raw [2][]byte
	for i := range raw {
		out := filepath.Join(dir, "busybox.tar")
		if err := run([]string{"-name", "mayfly/busybox:latest", "-busybox", "/bin/busybox", "-env", "PATH=/bin", "-cmd", "/bin/sh", "-out", out}); err != nil {
			t.Fatal(err)
		}
		var err error
		if raw[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(raw[0], raw[1]) {
		t.Error("two builds differ")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".mkimage-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	s, err := image.Open(filepath.Join(dir, "store"), image.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Load(t.Context(), bytes.NewReader(raw[0]))
	if err != nil || len(all) != 1 {
		t.Fatalf("loaded %v, %v", all, err)
	}
	img, err := s.Lookup("mayfly/busybox")
	if err != nil || strings.Join(img.Config.Cmd, " ") != "/bin/sh" || len(img.Layers) != 1 {
		t.Fatalf("image is %+v, %v", img, err)
	}
	for _, name := range []string{"bin/busybox", "bin/sh", "etc/passwd", "tmp", "usr/bin/env"} {
		if _, err := os.Stat(filepath.Join(img.Layers[0].Path, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"-name", "a"}, {"-name", "a", "-out", "b", "-rootfs", "c", "-busybox", "d"}, {"-name", "a", "-out", "b", "-busybox", "c", "more"}} {
		if err := run(args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	if err := run([]string{"-name", "a:1", "-out", filepath.Join(t.TempDir(), "o"), "-busybox", "/etc/passwd"}); err == nil {
		t.Error("a text file is accepted as busybox")
	}
}
