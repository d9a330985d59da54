package document

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		limit    int64
		want     string
		tooLarge bool
	}{
		{"empty", "", 0, "", false},
		{"smaller", "ab", 3, "ab", false},
		{"as large as allowed", "abc", 3, "abc", false},
		{"one byte more", "abcd", 3, "abc", true},
		{"nothing allowed", "a", 0, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read(iotest.OneByteReader(strings.NewReader(tt.in)), tt.limit)
			if string(got) != tt.want {
				t.Errorf("it read %q, want %q", got, tt.want)
			}
			if errors.Is(err, ErrTooLarge) != tt.tooLarge || !tt.tooLarge && err != nil {
				t.Errorf("its error is %v", err)
			}
		})
	}
}

func TestErrorSaysTheLimit(t *testing.T) {
	_, err := Read(strings.NewReader("abcd"), 3)
	if want := "it is larger than 3 bytes"; err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

// A reader without an end takes no more than one byte over the limit.
func TestReadStops(t *testing.T) {
	const limit = 1 << 10
	endless := &io.LimitedReader{R: zeros{}, N: math.MaxInt64}
	if _, err := Read(endless, limit); err == nil {
		t.Error("what has no end has an end")
	}
	if read := math.MaxInt64 - endless.N; read != limit+1 {
		t.Errorf("it read %d bytes", read)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestReadFails(t *testing.T) {
	broken := errors.New("broken")
	got, err := Read(io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken)), 3)
	if string(got) != "ab" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOpenInside(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "dir")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"outside", "dir/file", "dir/sub/file"} {
		if err := os.WriteFile(filepath.Join(above, file), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"inner": "sub/file", "outer": "../outside", "absolute": filepath.Join(above, "outside"), "up": ".."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, want, err string }{
		{name: "file", want: "dir/file"},
		{name: "sub/file", want: "dir/sub/file"},
		{name: "inner", want: "dir/sub/file"},
		{name: "../outside", err: "escapes"},
		{name: "outer", err: "escapes"},
		{name: "absolute", err: "escapes"},
		{name: "up/outside", err: "escapes"},
		{name: "sub", err: "it is not a regular file"},
		{name: "none", err: "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := OpenInside(dir, tt.name)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("its error is %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if got, err := io.ReadAll(f); string(got) != tt.want || err != nil {
				t.Errorf("it has %q, %v", got, err)
			}
		})
	}
	if _, err := OpenInside(filepath.Join(above, "none"), "file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that doesn't exist: %v", err)
	}
}
