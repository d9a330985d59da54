package image

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

type file = imagetest.File

// unpack unpacks a layer next to a canary, and fails the test if the canary changes.
func unpack(t testing.TB, s *Store, layer []byte) (dir string, rec treeRecord, err error) {
	t.Helper()
	base := t.TempDir()
	dir = filepath.Join(base, "layer")
	canary := filepath.Join(base, "canary")
	for _, err := range []error{os.Mkdir(dir, 0o755), os.Mkdir(canary, 0o755), os.WriteFile(filepath.Join(canary, "secret"), []byte("untouched"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	before := imagetest.HashTree(t, canary)
	rec, err = s.unpackTar(t.Context(), bytes.NewReader(layer), dir, newImageBudget(s.opts.Limits))
	if imagetest.HashTree(t, canary) != before {
		t.Error("the canary next to the layer has changed")
	}
	if got := readDir(t, base); len(got) != 2 {
		t.Errorf("got the files %q next to the layer, want only the canary", got)
	}
	return dir, rec, err
}

func TestUnpackKeepsWhatALayerSays(t *testing.T) {
	long := strings.Repeat("n", 255)
	when := time.Date(2020, 1, 2, 3, 4, 5, 678, time.UTC)
	dir, rec, err := unpack(t, testStore(t), imagetest.Tar(t,
		file{Name: "./", Mode: 0o711}, file{Name: "d/", Mode: 0o1777, UID: 7, GID: 8, Time: when},
		file{Name: "d/f", Body: "hello", Mode: 0o4755, UID: 65535, GID: 65535, Time: when, Xattrs: map[string]string{"user.note": "kept"}},
		file{Name: "/abs/" + long, Body: "x"}, file{Name: "d/ln", Type: tar.TypeSymlink, Link: "/etc/passwd", UID: 3, GID: 4, Time: when},
		file{Name: "hard", Type: tar.TypeLink, Link: "./d/f"}, file{Name: "d/f2", Body: "1"}, file{Name: "d/f2", Body: "22"},
	))
	if err != nil {
		t.Fatal(err)
	}
	if rec.Entries != 8 || rec.Bytes != 9 {
		t.Errorf("got the record %+v, want 8 entries and 9 bytes", rec)
	}
	for _, w := range []struct {
		name     string
		mode     uint32
		uid, gid uint32
		body     string
	}{
		{".", unix.S_IFDIR | 0o711, 0, 0, ""},
		{"d", unix.S_IFDIR | 0o1777, 7, 8, ""},
		{"d/f", unix.S_IFREG | 0o755, 65535, 65535, "hello"}, // without its setuid bit
		{"hard", unix.S_IFREG | 0o755, 65535, 65535, "hello"},
		{"abs", unix.S_IFDIR | 0o755, 0, 0, ""},
		{"abs/" + long, unix.S_IFREG | 0o644, 0, 0, "x"},
		{"d/ln", unix.S_IFLNK | 0o777, 3, 4, "/etc/passwd"},
		{"d/f2", unix.S_IFREG | 0o644, 0, 0, "22"},
	} {
		path := filepath.Join(dir, w.name)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			t.Errorf("%s: %v", w.name, err)
			continue
		}
		if st.Mode != w.mode || st.Uid != w.uid || st.Gid != w.gid {
			t.Errorf("%s has %o %d:%d, want %o %d:%d", w.name, st.Mode, st.Uid, st.Gid, w.mode, w.uid, w.gid)
		}
		var body []byte
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			body, _ = os.ReadFile(path)
		case unix.S_IFLNK:
			to, _ := os.Readlink(path)
			body = []byte(to)
		}
		if string(body) != w.body {
			t.Errorf("%s contains %q, want %q", w.name, body, w.body)
		}
		if strings.HasPrefix(w.name, "d") && w.name != "d/f2" && st.Mtim.Nano() != when.UnixNano() {
			t.Errorf("%s has the time %v, want %v", w.name, time.Unix(0, st.Mtim.Nano()), when)
		}
	}
	if x := imagetest.Xattrs(t, filepath.Join(dir, "d/f")); len(x) != 1 || x[0] != `user.note="kept"` {
		t.Errorf("got the attributes %q, want only user.note", x)
	}
}

// TestUnpackRefusesHostileTars is M01 and M02: a tar stays in its directory or is refused.
func TestUnpackRefusesHostileTars(t *testing.T) {
	deep := strings.Repeat("d/", 255) + "f"
	for name, c := range map[string]struct {
		kind  error
		files []file
	}{
		"dot-dot":                     {ErrHostile, []file{{Name: "../canary/secret", Body: "x"}}},
		"dot-dot in the middle":       {ErrHostile, []file{{Name: "a/../../canary/secret", Body: "x"}}},
		"dot-dot that stays inside":   {ErrHostile, []file{{Name: "a/../b", Body: "x"}}},
		"absolute dot-dot":            {ErrHostile, []file{{Name: "/../canary/secret", Body: "x"}}},
		"write through link up":       {ErrHostile, []file{{Name: "l", Type: tar.TypeSymlink, Link: "../canary"}, {Name: "l/secret", Body: "x"}}},
		"write through absolute link": {ErrHostile, []file{{Name: "l", Type: tar.TypeSymlink, Link: "/tmp"}, {Name: "l/mayfly-pwned", Body: "x"}}},
		"mkdir through link":          {ErrHostile, []file{{Name: "l", Type: tar.TypeSymlink, Link: "../canary"}, {Name: "l/d/"}}},
		"link through link":           {ErrHostile, []file{{Name: "l", Type: tar.TypeSymlink, Link: ".."}, {Name: "l/canary/s", Type: tar.TypeSymlink, Link: "x"}}},
		"whiteout through link":       {ErrHostile, []file{{Name: "l", Type: tar.TypeSymlink, Link: "../canary"}, {Name: "l/.wh.secret"}}},
		"opaque through link":         {ErrHostile, []file{{Name: "l", Type: tar.TypeSymlink, Link: "../canary"}, {Name: "l/.wh..wh..opq"}}},
		"loop of links":               {ErrHostile, []file{{Name: "l", Type: tar.TypeSymlink, Link: "m"}, {Name: "m", Type: tar.TypeSymlink, Link: "l"}, {Name: "l/f", Body: "x"}}},
		"hard link up":                {ErrHostile, []file{{Name: "h", Type: tar.TypeLink, Link: "../canary/secret"}}},
		"hard link through link":      {ErrHostile, []file{{Name: "l", Type: tar.TypeSymlink, Link: "../canary"}, {Name: "h", Type: tar.TypeLink, Link: "l/secret"}}},
		"hard link to a directory":    {ErrHostile, []file{{Name: "d/"}, {Name: "h", Type: tar.TypeLink, Link: "d"}}},
		"hard link to a whiteout":     {ErrHostile, []file{{Name: ".wh.f"}, {Name: "h", Type: tar.TypeLink, Link: "f"}}},
		"hard link to its name":       {ErrHostile, []file{{Name: ".wh.f"}, {Name: "h", Type: tar.TypeLink, Link: ".wh.f"}}},
		"file under a file":           {ErrHostile, []file{{Name: "f", Body: "x"}, {Name: "f/g", Body: "x"}}},
		"root as a file":              {ErrHostile, []file{{Name: "./", Type: tar.TypeSymlink, Link: "../canary"}}},
		"long component":              {ErrHostile, []file{{Name: strings.Repeat("n", 256), Body: "x"}}},
		"long name":                   {ErrHostile, []file{{Name: strings.Repeat("nn/", 1500) + "f", Body: "x"}}},
		"deep name":                   {ErrBudget, []file{{Name: deep, Body: "x"}}},
		"empty link":                  {ErrHostile, []file{{Name: "l", Type: tar.TypeSymlink}}},
		"long link":                   {ErrHostile, []file{{Name: "l", Type: tar.TypeSymlink, Link: strings.Repeat("n/", 2048)}}},
		"whiteout of nothing":         {ErrHostile, []file{{Name: "d/.wh."}}},
		"whiteout of dot":             {ErrHostile, []file{{Name: "d/.wh.."}}},
		"whiteout of dot-dot":         {ErrHostile, []file{{Name: "d/.wh..."}}},
		"whiteout of a whiteout":      {ErrHostile, []file{{Name: "d/.wh..wh.f"}}},
		"inside a whiteout":           {ErrHostile, []file{{Name: ".wh.a/b", Body: "x"}}},
		"whiteout directory":          {ErrHostile, []file{{Name: ".wh.a/"}}},
		"unknown type":                {ErrMalformed, []file{{Name: "f", Type: 'Z'}}},
		"opaque root":                 {ErrHostile, []file{{Name: ".wh..wh..opq"}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, err := unpack(t, testStore(t), imagetest.Tar(t, c.files...))
			wantKind(t, err, c.kind)
			if _, err := os.Lstat("/tmp/mayfly-pwned"); err == nil {
				t.Fatal("the tar wrote to /tmp")
			}
			if err := removeTree(dir); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestUnpackFollowsLinksInside checks that names may go through a link of the layer that stays inside the layer.
func TestUnpackFollowsLinksInside(t *testing.T) {
	dir, _, err := unpack(t, testStore(t), imagetest.Tar(t, file{Name: "usr/lib/"}, file{Name: "lib", Type: tar.TypeSymlink, Link: "usr/lib"},
		file{Name: "lib/f", Body: "1"}, file{Name: "h", Type: tar.TypeLink, Link: "lib/f"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"usr/lib/f", "h"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != "1" {
			t.Errorf("%s contains %q, %v; want 1", name, b, err)
		}
	}
}

// TestUnpackReplacesInsteadOfWritingThrough checks that a later entry replaces an earlier one, and doesn't write to the file that the
// earlier one was a link to.
func TestUnpackReplacesInsteadOfWritingThrough(t *testing.T) {
	dir, _, err := unpack(t, testStore(t), imagetest.Tar(t,
		file{Name: "l", Type: tar.TypeSymlink, Link: "../canary/secret"}, file{Name: "l", Body: "mine"},
		file{Name: "a", Body: "a"}, file{Name: "b", Type: tar.TypeLink, Link: "a"}, file{Name: "b", Body: "b"},
		file{Name: "self", Body: "s"}, file{Name: "self", Type: tar.TypeLink, Link: "self"},
		file{Name: "d/x", Body: "x"}, file{Name: "d", Body: "now a file"},
		file{Name: "t", Type: tar.TypeSymlink, Link: "../canary"}, file{Name: "t/"}, file{Name: "t/secret", Body: "inside"},
		file{Name: "e/f", Body: "1"}, file{Name: "e", Type: tar.TypeSymlink, Link: "../canary"},
	))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"l": "mine", "a": "a", "b": "b", "self": "s", "d": "now a file", "t/secret": "inside"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != want {
			t.Errorf("%s contains %q, %v; want %q", name, b, err, want)
		}
	}
}

// TestUnpackLeavesWhatLinksLeadTo checks that changes of a link don't change its target.
func TestUnpackLeavesWhatLinksLeadTo(t *testing.T) {
	for name, last := range map[string]file{
		"hard link": {Name: "h", Type: tar.TypeLink, Link: "l"},
		"whiteout":  {Name: ".wh.l"},
		"owner":     {Name: "l", Type: tar.TypeSymlink, Link: "../canary", UID: 7, GID: 8},
	} {
		for _, to := range []string{"../canary", "../canary/secret"} {
			t.Run(name+" "+to, func(t *testing.T) {
				if last.Type == tar.TypeSymlink {
					last.Link = to
				}
				dir, _, err := unpack(t, testStore(t), imagetest.Tar(t, file{Name: "l", Type: tar.TypeSymlink, Link: to}, last))
				if err != nil {
					t.Fatal(err)
				}
				for _, entry := range readDir(t, dir) {
					if got, err := os.Readlink(filepath.Join(dir, entry)); got != to {
						t.Errorf("%s leads to %q, %v; want %s", entry, got, err, to)
					}
				}
			})
		}
	}
}

// TestUnpackOwners checks that owners without an id in a sandbox become nobody, and never an id of another sandbox.
func TestUnpackOwners(t *testing.T) {
	dir, _, err := unpack(t, testStore(t), imagetest.Tar(t,
		file{Name: "last", UID: 65535, GID: 65535}, file{Name: "user", UID: 65536, GID: 1}, file{Name: "group", UID: 1, GID: 1 << 31}, file{Name: "ad", UID: 1<<31 - 2, GID: 1<<31 - 2}))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]uint32{"last": {65535, 65535}, "user": {65534, 1}, "group": {1, 65534}, "ad": {65534, 65534}} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, name), &st); err != nil || [2]uint32{st.Uid, st.Gid} != want {
			t.Errorf("%s: got %d:%d, %v; want %v", name, st.Uid, st.Gid, err, want)
		}
	}
}

func TestUnpackDropsDevicesAndPrivilegedAttributes(t *testing.T) {
	dir, rec, err := unpack(t, testStore(t), imagetest.Tar(t,
		file{Name: "null", Type: tar.TypeChar}, file{Name: "sda", Type: tar.TypeBlock}, file{Name: "pipe", Type: tar.TypeFifo},
		file{Name: "f", Xattrs: map[string]string{
			"security.capability":    "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
			"trusted.overlay.opaque": "y", "trusted.x": "y", "user.overlay.opaque": "y", "user.overlay.whiteout": "y", "user.ok": "1",
		}},
		file{Name: "d/", Xattrs: map[string]string{"trusted.overlay.redirect": "/etc", "user.overlay.redirect": "/etc", "user.overlay.opaque": "y"}},
	))
	if err != nil {
		t.Fatal(err)
	}
	if got := readDir(t, dir); len(got) != 2 || rec.Dropped != 3 {
		t.Errorf("the layer contains %q, and %d entries were dropped; want d and f, and 3", got, rec.Dropped)
	}
	if x := imagetest.Xattrs(t, filepath.Join(dir, "f")); len(x) != 1 || x[0] != `user.ok="1"` {
		t.Errorf("f has the attributes %q, want only user.ok", x)
	}
	if x := imagetest.Xattrs(t, filepath.Join(dir, "d")); len(x) != 0 {
		t.Errorf("d has the attributes %q, want none", x)
	}
}

func TestUnpackWritesOverlayWhiteouts(t *testing.T) {
	for _, c := range []struct {
		user bool
		attr string
	}{{false, `trusted.overlay.opaque="y"`}, {true, `user.overlay.opaque="y"`}} {
		o := testOptions()
		o.UserXattr = c.user
		dir, _, err := unpack(t, openStore(t, t.TempDir(), o), imagetest.Tar(t,
			file{Name: "d/"}, file{Name: "d/.wh.gone"}, file{Name: "o/"}, file{Name: "o/.wh..wh..opq"}, file{Name: "o/new"},
			file{Name: ".wh.was-file"}, file{Name: "was-file/"}, file{Name: ".wh.stays"}, file{Name: "stays", Body: "x"},
			file{Name: "here/"}, file{Name: ".wh.here"}, file{Name: "kept"}, file{Name: ".wh.kept"},
			file{Name: ".wh..wh.plnk/"}, file{Name: ".wh..wh.plnk/12.34"}, file{Name: ".wh..wh.aufs"},
		))
		if err != nil {
			t.Fatal(err)
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(filepath.Join(dir, "d/gone"), &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFCHR || st.Rdev != 0 {
			t.Errorf("the whiteout has mode %o and device %d, %v; want a 0/0 character device", st.Mode, st.Rdev, err)
		}
		for _, name := range []string{"o", "was-file", "here"} {
			if x := imagetest.Xattrs(t, filepath.Join(dir, name)); len(x) != 1 || x[0] != c.attr {
				t.Errorf("%s has the attributes %q, want %s", name, x, c.attr)
			}
		}
		if b, err := os.ReadFile(filepath.Join(dir, "stays")); string(b) != "x" {
			t.Errorf("stays contains %q, %v; want x", b, err)
		}
		if got := strings.Join(readDir(t, dir), " "); got != "d here kept o stays was-file" {
			t.Errorf("the layer contains %s", got)
		}
	}
}

// TestUnpackStopsAtItsBudget is M03: a layer that is too large stops at the budget.
func TestUnpackStopsAtItsBudget(t *testing.T) {
	for name, c := range map[string]struct {
		lim   Limits
		files []file
	}{
		"bytes":   {Limits{LayerBytes: 10}, []file{{Name: "a", Body: "12345"}, {Name: "b", Body: "123456"}}},
		"image":   {Limits{ImageBytes: 10}, []file{{Name: "a", Body: "12345"}, {Name: "b", Body: "123456"}}},
		"entries": {Limits{LayerEntries: 2}, []file{{Name: "a"}, {Name: "b"}, {Name: "c"}}},
		"depth":   {Limits{PathDepth: 2}, []file{{Name: "a/b/c"}}},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			o.Limits = c.lim
			_, _, err := unpack(t, openStore(t, t.TempDir(), o), imagetest.Tar(t, c.files...))
			wantKind(t, err, ErrBudget)
		})
	}
}

// repeat reads a tar entry n times, without keeping all of it in memory.
type repeat struct {
	entry []byte
	n     int64
	off   int
}

func (r *repeat) Read(p []byte) (int, error) {
	total := 0
	for total < len(p) && r.n > 0 {
		c := copy(p[total:], r.entry[r.off:])
		total += c
		if r.off += c; r.off == len(r.entry) {
			r.off = 0
			r.n--
		}
	}
	if total == 0 {
		return 0, os.ErrClosed // the budget should have stopped the reading before
	}
	return total, nil
}

// TestUnpackRefusesFiveMillionEntries is M03: the default budgets refuse five million entries.
func TestUnpackRefusesFiveMillionEntries(t *testing.T) {
	one := imagetest.Tar(t, file{Name: "pipe", Type: tar.TypeFifo})
	s := testStore(t)
	src := &repeat{entry: one[:len(one)-1024], n: 5_000_000}
	_, err := s.unpackTar(t.Context(), src, t.TempDir(), newImageBudget(s.opts.Limits))
	wantKind(t, err, ErrBudget)
}

// TestUnpackBoundsDirectoryNames is M03: the names of directories have their own budget, since they are kept until the end.
func TestUnpackBoundsDirectoryNames(t *testing.T) {
	one := imagetest.Tar(t, file{Name: strings.Repeat(strings.Repeat("n", 255)+"/", 15)})
	s := testStore(t)
	src := &repeat{entry: one[:len(one)-1024], n: maxDirBytes/(15*255) + 1}
	_, err := s.unpackTar(t.Context(), src, t.TempDir(), newImageBudget(s.opts.Limits))
	wantKind(t, err, ErrBudget)
}

// TestCleanNameRefusesZeroBytes checks names that archive/tar doesn't return; cleanName must not rely on that.
func TestCleanNameRefusesZeroBytes(t *testing.T) {
	for _, name := range []string{"\x00", "f\x00", "d/f\x00/g"} {
		_, err := cleanName(name, 255)
		wantKind(t, err, ErrHostile)
	}
}

func isWhiteoutInfo(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Mode&syscall.S_IFMT == syscall.S_IFCHR && st.Rdev == 0
}
