// Package archivetest is the suite that every implementation of archive.Storage passes.
package archivetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mayfly-run/mayfly/internal/archive"
)

// Run runs the suite on a new, empty archive for each test.
func Run(t *testing.T, open func(t *testing.T) archive.Storage) {
	for name, test := range map[string]func(*testing.T, archive.Storage){
		"Life": life, "Parts": parts, "FailedPut": failedPut, "Replace": replace, "Large": large, "List": list, "Names": names,
		"Renew": renew, "AtOnce": atOnce, "Ended": ended, "Contents": contents,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func put(t *testing.T, a archive.Storage, name, text string) {
	t.Helper()
	if err := a.Put(t.Context(), name, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, a archive.Storage, name string, offset, length int64) (string, error) {
	t.Helper()
	r, _, err := a.Open(t.Context(), name, offset, length)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	return string(data), errors.Join(err, r.Close())
}

func want(t *testing.T, a archive.Storage, name, text string) {
	t.Helper()
	if got, err := get(t, a, name, 0, -1); err != nil || got != text {
		t.Errorf("%s has %.100q, %v, want %.100q", name, got, err, text)
	}
}

func missing(t *testing.T, a archive.Storage, name string) {
	t.Helper()
	if _, err := a.Stat(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of %s: %v, want %v", name, err, fs.ErrNotExist)
	}
	_, err := get(t, a, name, 0, -1)
	var what *archive.Error
	if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &what) || what.Name != name || what.Where == "" {
		t.Errorf("open %s: %v, want an archive.Error with %v", name, err, fs.ErrNotExist)
	}
}

func life(t *testing.T, a archive.Storage) {
	missing(t, a, "a/b")
	put(t, a, "a/b", "hello")
	o, err := a.Stat(t.Context(), "a/b")
	if err != nil || o.Name != "a/b" || o.Size != 5 || time.Since(o.Modified).Abs() > time.Hour {
		t.Errorf("stat: %+v, %v", o, err)
	}
	want(t, a, "a/b", "hello")
	for range 2 { // it may be gone already
		if err := a.Delete(t.Context(), "a/b"); err != nil {
			t.Fatal(err)
		}
		missing(t, a, "a/b")
	}
	put(t, a, "a/empty", "")
	want(t, a, "a/empty", "")
}

func parts(t *testing.T, a archive.Storage) {
	put(t, a, "a", "0123456789")
	for _, c := range []struct {
		offset, length int64
		want           string
	}{{0, -1, "0123456789"}, {0, 3, "012"}, {3, 4, "3456"}, {9, 1, "9"}, {7, -1, "789"}, {4, 0, ""}} {
		r, o, err := a.Open(t.Context(), "a", c.offset, c.length)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		data, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || string(data) != c.want || o.Size != 10 {
			t.Errorf("%+v: %q of %d bytes, %v", c, data, o.Size, err)
		}
	}
	// What isn't there fails; it is never shorter.
	for _, c := range [][2]int64{{5, 6}, {10, 1}, {11, 1}, {11, -1}} {
		if got, err := get(t, a, "a", c[0], c[1]); err == nil {
			t.Errorf("%d bytes from %d: %q, want an error", c[1], c[0], got)
		}
	}
}

var errBroken = errors.New("the content broke")

func failedPut(t *testing.T, a archive.Storage) {
	for _, size := range []int{0, 10, 3 << 20} {
		broken := io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(errBroken))
		if err := a.Put(t.Context(), "new", broken); !errors.Is(err, errBroken) {
			t.Errorf("put: %v, want %v", err, errBroken)
		}
		missing(t, a, "new")
	}
	put(t, a, "old", "before")
	if err := a.Put(t.Context(), "old", io.MultiReader(strings.NewReader("after"), iotest.ErrReader(errBroken))); !errors.Is(err, errBroken) {
		t.Errorf("put: %v, want %v", err, errBroken)
	}
	want(t, a, "old", "before")
	if got := listed(t, a, ""); !slices.Equal(got, []string{"old"}) {
		t.Errorf("%q are there, want only old", got)
	}
}

func replace(t *testing.T, a archive.Storage) {
	put(t, a, "a", "a longer text")
	put(t, a, "a", "short")
	want(t, a, "a", "short")
}

func large(t *testing.T, a archive.Storage) {
	text := strings.Repeat("0123456789abcdef", 1<<20) // more than is sent at once or kept in memory
	put(t, a, "large", text)
	want(t, a, "large", text)
	if got, err := get(t, a, "large", 9<<20+3, 5); err != nil || got != "34567" {
		t.Errorf("a part is %q, %v", got, err)
	}
}

func listed(t *testing.T, a archive.Storage, prefix string) (names []string) {
	t.Helper()
	if err := a.List(t.Context(), prefix, func(o archive.Object) error { names = append(names, o.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func list(t *testing.T, a archive.Storage) {
	if got := listed(t, a, ""); len(got) != 0 {
		t.Errorf("a new archive has %q", got)
	}
	if got := listed(t, a, "none/"); len(got) != 0 {
		t.Errorf("a prefix that doesn't exist has %q", got)
	}
	for _, name := range []string{"a/1", "a/2", "ab/3", "b/a/4"} {
		put(t, a, name, name)
	}
	for prefix, want := range map[string][]string{"": {"a/1", "a/2", "ab/3", "b/a/4"}, "a/": {"a/1", "a/2"}, "b/": {"b/a/4"}} {
		if got := listed(t, a, prefix); !slices.Equal(got, want) {
			t.Errorf("%q has %q, want %q", prefix, got, want)
		}
	}
	enough := errors.New("enough")
	n := 0
	err := a.List(t.Context(), "", func(o archive.Object) error {
		n++
		if o.Size != int64(len(o.Name)) || time.Since(o.Modified).Abs() > time.Hour {
			t.Errorf("listed %+v", o)
		}
		return enough
	})
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("the list ends after %d with %v, want 1 and %v", n, err, enough)
	}
}

func names(t *testing.T, a archive.Storage) {
	for _, name := range []string{"", ".", "..", "../a", "a/../b", "/a", "a/", "a//b", ".hidden", "a/.hidden", `a\b`, "a\x00b"} {
		if err := a.Put(t.Context(), name, strings.NewReader("x")); err == nil {
			t.Errorf("put %q: no error", name)
		}
		if _, _, err := a.Open(t.Context(), name, 0, -1); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %q: %v", name, err)
		}
	}
	put(t, a, "a b+%41ä?&=/c", "x") // names with characters that mean something in an address
	want(t, a, "a b+%41ä?&=/c", "x")
	if got := listed(t, a, ""); !slices.Equal(got, []string{"a b+%41ä?&=/c"}) {
		t.Errorf("listed %q", got)
	}
}

func renew(t *testing.T, a archive.Storage) {
	if err := a.Renew(t.Context(), "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("renew what isn't there: %v", err)
	}
	put(t, a, "a", "text")
	before, err := a.Stat(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // S3 counts seconds
	if err := a.Renew(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	after, err := a.Stat(t.Context(), "a")
	if err != nil || !after.Modified.After(before.Modified) {
		t.Errorf("it was put at %v and renewed at %v, %v", before.Modified, after.Modified, err)
	}
	want(t, a, "a", "text")
}

// atOnce has many put the same object, and others read it: they find one of the contents as a whole.
func atOnce(t *testing.T, a archive.Storage) {
	text := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 200_000) }
	put(t, a, "a", text(0))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := a.Put(t.Context(), "a", strings.NewReader(text(i))); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			got, err := get(t, a, "a", 0, -1)
			if err != nil || len(got) != 200_000 || strings.Trim(got, got[:1]) != "" {
				t.Errorf("read %d bytes of more than one content, %v", len(got), err)
			}
		})
	}
	all.Wait()
}

func ended(t *testing.T, a archive.Storage) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Put(ctx, "a", strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v, want %v", err, context.Canceled)
	}
	missing(t, a, "a")
}

func contents(t *testing.T, a archive.Storage) {
	c := archive.Contents{In: a}
	digest := archive.Digest([]byte("text"))
	for name, text := range map[string]string{"wrong": "other", "short": "tex", "long": "text "} {
		var wrong *archive.DigestError
		if err := c.Put(t.Context(), digest, strings.NewReader(text)); !errors.As(err, &wrong) || wrong.Want != digest {
			t.Errorf("put of a %s content: %v", name, err)
		}
		if has, err := c.Renew(t.Context(), digest); has || err != nil {
			t.Errorf("after a %s content: %t, %v", name, has, err)
		}
	}
	if err := c.Put(t.Context(), digest, strings.NewReader("text")); err != nil {
		t.Fatal(err)
	}
	if has, err := c.Renew(t.Context(), digest); !has || err != nil {
		t.Errorf("renew: %t, %v", has, err)
	}
	read := func() (string, int64, error) {
		r, size, err := c.Open(t.Context(), digest)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		return string(data), size, errors.Join(err, r.Close())
	}
	if got, size, err := read(); got != "text" || size != 4 || err != nil {
		t.Errorf("read %q of %d bytes, %v", got, size, err)
	}
	// Storage that changes bytes isn't believed.
	name, err := archive.ContentName(digest)
	if err != nil {
		t.Fatal(err)
	}
	put(t, a, name, "tent")
	var wrong *archive.DigestError
	if _, _, err := read(); !errors.As(err, &wrong) {
		t.Errorf("damaged content: %v, want a DigestError", err)
	}
}
