// Package imagetest makes small images for tests, including hostile ones, and registries on the loopback to pull them from.
package imagetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// File is one entry of a layer.
type File struct {
	Name     string
	Body     string
	Type     byte   // a type of archive/tar; if 0, a regular file, or a directory if the name ends with a slash
	Mode     int64  // if 0, 0644, or 0755 for a directory
	Link     string // the target of a link
	UID, GID int
	Time     time.Time         // if zero, 2001-02-03 04:05:06 UTC
	Xattrs   map[string]string // extended attributes
}

// Tar makes an uncompressed layer.
func Tar(t testing.TB, files ...File) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(header(f)); err != nil {
			t.Fatalf("tar %q: %v", f.Name, err)
		}
		if _, err := w.Write([]byte(f.Body)); err != nil {
			t.Fatalf("tar %q: %v", f.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func header(f File) *tar.Header {
	h := &tar.Header{
		Typeflag: f.Type, Name: f.Name, Linkname: f.Link, Mode: f.Mode, Uid: f.UID, Gid: f.GID, Size: int64(len(f.Body)),
		ModTime: f.Time, Format: tar.FormatPAX, PAXRecords: map[string]string{},
	}
	if h.Typeflag == 0 {
		h.Typeflag = tar.TypeReg
		if len(f.Name) > 0 && f.Name[len(f.Name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
	}
	if h.Mode == 0 {
		h.Mode = 0o644
		if h.Typeflag == tar.TypeDir {
			h.Mode = 0o755
		}
	}
	if h.ModTime.IsZero() {
		h.ModTime = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	}
	for k, v := range f.Xattrs {
		h.PAXRecords["SCHILY.xattr."+k] = v
	}
	return h
}

// Gzip compresses a layer.
func Gzip(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Zstd compresses a layer.
func Zstd(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}
