package secret

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fixed is a source with one secret, or a source that fails.
type fixed struct {
	name, value, place string
	err                error
}

func (f fixed) Get(_ context.Context, name string) ([]byte, error) {
	if f.err != nil {
		return nil, f.err
	}
	if name != f.name {
		return nil, &NotFoundError{Name: name, Searched: []string{f.place}}
	}
	return []byte(f.value), nil
}

func TestChain(t *testing.T) {
	ctx := t.Context()
	broken := errors.New("broken")
	a, b := fixed{name: "a", value: "1", place: "here"}, fixed{name: "a", value: "2", place: "there"}
	if v, err := (Chain{a, b}).Get(ctx, "a"); string(v) != "1" || err != nil {
		t.Errorf("first source: %q, %v", v, err)
	}
	if v, err := (Chain{fixed{place: "x"}, b}).Get(ctx, "a"); string(v) != "2" || err != nil {
		t.Errorf("second source: %q, %v", v, err)
	}
	if _, err := (Chain{fixed{err: broken}, b}).Get(ctx, "a"); !errors.Is(err, broken) {
		t.Errorf("a broken source: got %v", err)
	}
	_, err := (Chain{a, Chain{b}}).Get(ctx, "z")
	const want = `secret "z" not found; looked in: here, there; set it with: mayfly secret set z`
	if err == nil || err.Error() != want || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v, want %s", err, want)
	}
	if _, err := (Chain{}).Get(ctx, "z"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty chain: %v", err)
	}
}

func TestParseFlagsRefuses(t *testing.T) {
	const value = "s3cr3t-value"
	for _, tc := range []struct {
		flags []string
		want  string
	}{
		{[]string{"a=" + value}, "--secret a: a value can't be on the command line"},
		{[]string{"a="}, "--secret a: a value can't be on the command line"},
		{[]string{"a=ENV:" + value}, "--secret a: a value can't be on the command line"},
		{[]string{"a=https://" + value}, "--secret a: a value can't be on the command line"},
		{[]string{"b=env:X", value}, "--secret number 2 is not NAME=env:VARIABLE"},
		{[]string{value + "!=env:X"}, "--secret number 1 is not NAME=env:VARIABLE"},
		{[]string{"a=env:"}, "--secret a: write env:VARIABLE or file:PATH in full"},
		{[]string{"a=file:"}, "--secret a: write env:VARIABLE or file:PATH in full"},
		{[]string{"a=env:X", "a=env:Y"}, "--secret a is given twice"},
		{[]string{"a=-", "b=-"}, "--secret a and --secret b both read standard input"},
	} {
		_, err := ParseFlags(tc.flags, strings.NewReader(""))
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want %s…", tc.flags, err, tc.want)
		} else if strings.Contains(err.Error(), value) {
			t.Errorf("%q: the error repeats what may be the value: %v", tc.flags, err)
		}
	}
	if _, err := ParseFlags([]string{"a=-"}, nil); err == nil {
		t.Error("missing standard input is accepted")
	}
}

func TestParseFlagsReads(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	large := filepath.Join(dir, "large")
	put(t, file, "from a file\r\n")
	put(t, large, strings.Repeat("x", MaxValueBytes+1))
	t.Setenv("MAYFLY_TEST_SECRET", "from the environment\n")
	t.Setenv("MAYFLY_TEST_EMPTY", "")
	for _, tc := range []struct{ flag, stdin, want, err string }{
		{"a=env:MAYFLY_TEST_SECRET", "", "from the environment\n", ""},
		{"a=env:MAYFLY_TEST_EMPTY", "", "", "--secret a=env:MAYFLY_TEST_EMPTY: the variable MAYFLY_TEST_EMPTY is empty; set it to the secret's value"},
		{"a=file:" + file, "", "from a file\r\n", ""},
		{"a=-", "typed\n", "typed", ""},
		{"a=-", "typed\r\n", "typed", ""},
		{"a=-", "two\n\n", "two\n", ""},
		{"a=-", "\x00 binary", "\x00 binary", ""},
		{"a=-", strings.Repeat("x", MaxValueBytes), strings.Repeat("x", MaxValueBytes), ""},
		{"a=-", strings.Repeat("x", MaxValueBytes+1), "", "--secret a=-: read standard input: the value is larger than 1048576 bytes"},
		{"a=env:MAYFLY_TEST_NOT_SET", "", "", "--secret a=env:MAYFLY_TEST_NOT_SET: there is no variable MAYFLY_TEST_NOT_SET in the environment; export it first"},
		{"a=file:" + dir + "/none", "", "", "--secret a=file:" + dir + "/none: no such file or directory; give the path"},
		{"a=file:" + large, "", "", "--secret a=file:" + large + ": the value is larger than 1048576 bytes"},
		{"a=file:" + dir, "", "", "--secret a=file:" + dir + ": read "},
	} {
		source, err := ParseFlags([]string{tc.flag}, strings.NewReader(tc.stdin))
		if err != nil {
			t.Fatalf("%s: %v", tc.flag, err)
		}
		for range 2 { // the source returns the value again, although a pipe can be read only once
			got, err := source.Get(t.Context(), "a")
			if tc.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tc.err) {
					t.Errorf("%s: %v, want %s…", tc.flag, err, tc.err)
				}
				// A secret on the command line isn't looked for elsewhere.
				if absent := new(NotFoundError); errors.As(err, &absent) {
					t.Errorf("%s: a chain would continue after %v", tc.flag, err)
				}
				continue
			}
			if err != nil || string(got) != tc.want {
				t.Errorf("%s: %.50q, %v; want %.50q", tc.flag, got, err, tc.want)
			}
			clear(got) // the caller owns the bytes
		}
		if _, err := source.Get(t.Context(), "b"); err == nil || err.Error() != `secret "b" not found; looked in: --secret flags; set it with: mayfly secret set b` {
			t.Errorf("absent: %v", err)
		}
	}
}

// TestMissing checks that Missing names every flag whose source doesn't exist.
func TestMissing(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), "x")
	t.Setenv("MAYFLY_TEST_SECRET", "x")
	t.Setenv("MAYFLY_TEST_EMPTY", "")
	present, err := ParseFlags([]string{"a=env:MAYFLY_TEST_SECRET", "b=file:" + dir + "/file", "c=-"}, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := present.Missing(); err != nil {
		t.Errorf("nothing is missing: %v", err)
	}
	absent := []string{"a=env:MAYFLY_TEST_NOT_SET", "b=env:MAYFLY_TEST_EMPTY", "c=file:" + dir + "/none"}
	missing, err := ParseFlags(absent, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = missing.Missing()
	for _, flag := range absent {
		if err == nil || !strings.Contains(err.Error(), "--secret "+flag+": ") {
			t.Errorf("the error doesn't name %s: %v", flag, err)
		}
	}
}

// TestFileErrors checks that the error for a file that can't be opened says what to do, before the run and when it is read.
func TestFileErrors(t *testing.T) {
	const want = ": no such file or directory; give the path of the file that has the secret's value"
	from := "file:" + filepath.Join(t.TempDir(), "none")
	flags, err := ParseFlags([]string{"a=" + from}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, read := ReadFrom(t.Context(), from, nil)
	for name, got := range map[string]error{"--secret a=" + from: flags.Missing(), from: read} {
		if got == nil || got.Error() != name+want || !errors.Is(got, fs.ErrNotExist) {
			t.Errorf("got %v, want %s%s", got, name, want)
		}
	}
	refused := fileError(&fs.PathError{Op: "open", Path: "f", Err: fs.ErrPermission})
	if refused.Error() != "permission denied; let the user who runs mayfly read the file" || !errors.Is(refused, fs.ErrPermission) {
		t.Error(refused)
	}
}

func TestNothingIsReadBeforeItIsWanted(t *testing.T) {
	in := strings.NewReader("value\n")
	source, err := ParseFlags([]string{"a=-"}, in)
	if err != nil || in.Len() != 6 {
		t.Errorf("%v; %d bytes of 6 are unread, want all", err, in.Len())
	}
	if v, err := source.Get(t.Context(), "a"); string(v) != "value" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

func TestReadingCanBeCancelled(t *testing.T) {
	r, w := io.Pipe()
	source, err := ParseFlags([]string{"a=-"}, r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := source.Get(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get = %v", err)
	}
	go func() {
		_, _ = io.WriteString(w, "late")
		w.Close()
	}()
	if v, err := source.Get(t.Context(), "a"); string(v) != "late" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

func TestReadFrom(t *testing.T) {
	if v, err := ReadFrom(t.Context(), "-", bytes.NewBufferString("v\n")); string(v) != "v" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if _, err := ReadFrom(t.Context(), "s3cr3t", nil); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("a literal: %v", err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A kind of origin that read doesn't know is not standard input: a new one would take what belongs to another secret.
func TestUnknownOriginReadsNothing(t *testing.T) {
	o := &origin{kind: -1, stdin: strings.NewReader("another secret")}
	if value, err := o.read(t.Context()); err == nil || len(value) > 0 {
		t.Errorf("it has %q, %v", value, err)
	}
}
