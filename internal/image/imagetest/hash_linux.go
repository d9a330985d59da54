package imagetest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// HashTree returns a hash of everything in a directory: names, types, modes, owners, links, sizes, times of files, extended attributes
// and content. It shows whether a run has changed a layer.
func HashTree(t testing.TB, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		when := int64(0) // the time of a directory that a layer doesn't list is that of its unpacking
		if !info.IsDir() {
			when = info.ModTime().UnixNano()
		}
		fmt.Fprintf(sum, "%q %o %d:%d %d %d %d\n", rel, st.Mode, st.Uid, st.Gid, st.Nlink, st.Rdev, when)
		for _, x := range xattrs(t, path) {
			fmt.Fprintf(sum, "%s\n", x)
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			fmt.Fprintf(sum, "%q\n", to)
			return err
		case info.Mode().IsRegular():
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			n, err := io.Copy(sum, f)
			fmt.Fprintf(sum, "%d\n", n)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatalf("hash %s: %v", dir, err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// xattrs returns a file's extended attributes as name=value, sorted. It doesn't follow links.
func xattrs(t testing.TB, path string) []string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil && err != unix.EOPNOTSUPP {
		t.Fatalf("attributes of %s: %v", path, err)
	}
	var all []string
	for _, name := range strings.Split(strings.TrimRight(string(buf[:max(n, 0)]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		v := make([]byte, 64<<10)
		m, err := unix.Lgetxattr(path, name, v)
		if err != nil {
			t.Fatalf("attribute %s of %s: %v", name, path, err)
		}
		all = append(all, fmt.Sprintf("%s=%q", name, v[:m]))
	}
	sort.Strings(all)
	return all
}

// Xattrs returns a file's extended attributes as name=value, sorted. It doesn't follow links.
func Xattrs(t testing.TB, path string) []string { t.Helper(); return xattrs(t, path) }
