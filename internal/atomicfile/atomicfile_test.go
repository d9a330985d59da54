package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// The variables by which the test binary is run as a process that writes a file and is killed before a step.
const (
	killedPath    = "MAYFLY_TEST_KILLED_PATH"
	killedStep    = "MAYFLY_TEST_KILLED_STEP"
	killedUnnamed = "MAYFLY_TEST_KILLED_UNNAMED"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(killedPath); path != "" {
		err := Write(path, []byte("new"), Options{Durable: true, Prefix: "left-", Unnamed: os.Getenv(killedUnnamed) != "", step: func(name string) {
			if name == os.Getenv(killedStep) {
				p, err := os.FindProcess(os.Getpid())
				if err = errors.Join(err, p.Kill()); err != nil {
					panic(err)
				}
				time.Sleep(time.Hour) // the signal comes before
			}
		}})
		panic(err) // it must be killed before
	}
	os.Exit(m.Run())
}

// TestKilled kills a process before each step of its Commit.
func TestKilled(t *testing.T) {
	for _, tt := range []struct {
		step, want string
		left       int
		unnamed    bool
	}{
		{step: "sync", want: "old", left: 1},
		{step: "put", want: "old", left: 1},
		{step: "sync directory", want: "new"},
		{step: "sync", want: "old", unnamed: true},
		{step: "name", want: "old", unnamed: true},
		{step: "put", want: "old", left: 1, unnamed: true},
		{step: "sync directory", want: "new", unnamed: true},
	} {
		name := tt.step
		if tt.unnamed {
			if runtime.GOOS != "linux" {
				continue
			}
			name += ", unnamed"
		}
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			put(t, path, "old")
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), killedPath+"="+path, killedStep+"="+tt.step)
			if tt.unnamed {
				cmd.Env = append(cmd.Env, killedUnnamed+"=1")
			}
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || len(out) > 0 {
				t.Fatalf("it was not killed: %v\n%s", err, out)
			}
			if got := read(t, path); got != tt.want {
				t.Errorf("the file has %q, want %q", got, tt.want)
			}
			if left := others(t, path); len(left) != tt.left || tt.left > 0 && !strings.HasPrefix(left[0], "left-") {
				t.Errorf("it left %q, want %d", left, tt.left)
			}
			if err := Sweep(filepath.Dir(path), "left-", 0); err != nil {
				t.Error(err)
			}
			if left := others(t, path); len(left) > 0 {
				t.Errorf("%q are left after the sweep", left)
			}
			if got := read(t, path); got != tt.want {
				t.Errorf("the file has %q after the sweep", got)
			}
		})
	}
}

// What is synced, and in which order, decides what a crash of the machine leaves.
func TestSteps(t *testing.T) {
	tests := []struct {
		name string
		opts Options
		want []string
	}{
		{"unsynced", Options{}, []string{"put"}},
		{"durable", Options{Durable: true}, []string{"sync", "put", "sync directory"}},
	}
	if runtime.GOOS == "linux" {
		tests = append(tests, struct {
			name string
			opts Options
			want []string
		}{"unnamed", Options{Durable: true, Unnamed: true}, []string{"sync", "name", "put", "sync directory"}})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			var steps []string
			tt.opts.step = func(name string) { steps = append(steps, name) }
			if err := Write(path, []byte("new"), tt.opts); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(steps, tt.want) {
				t.Errorf("the steps are %q, want %q", steps, tt.want)
			}
			if got := read(t, path); got != "new" {
				t.Errorf("the file has %q", got)
			}
			if left := others(t, path); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
		})
	}
}

func TestClosedWithoutCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	put(t, path, "old")
	f, err := Create(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := read(t, path); got != "old" || len(others(t, path)) > 0 {
		t.Errorf("the file has %q, %q are left", got, others(t, path))
	}
}

func TestWhereTheUnfinishedFileIs(t *testing.T) {
	elsewhere := t.TempDir()
	path := filepath.Join(t.TempDir(), "file")
	for _, tt := range []struct {
		name   string
		opts   Options
		prefix string
	}{
		{"beside the path", Options{}, filepath.Join(filepath.Dir(path), ".file")},
		{"as the caller says", Options{Dir: elsewhere, Prefix: "f-"}, filepath.Join(elsewhere, "f-")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Create(path, tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if !strings.HasPrefix(f.Name(), tt.prefix) || len(f.Name()) < len(tt.prefix)+20 {
				t.Errorf("it is %s, want %s and what nobody guesses", f.Name(), tt.prefix)
			}
			if err := f.Commit(); err != nil {
				t.Error(err)
			}
		})
	}
}

// An error of a step leaves the path as it was.
func TestPathIsADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := Write(path, nil, Options{})
	if err == nil {
		t.Fatal("a file replaced a directory")
	}
	if !strings.HasPrefix(err.Error(), "rename "+path+": ") {
		t.Errorf("its error is %v", err)
	}
	if left := others(t, path); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// Errors name the path: whoever chose it doesn't know the unfinished file.
func TestErrorsNameThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "file")
	if _, err := Create(path, Options{}); err == nil || !strings.HasPrefix(err.Error(), "open "+path+": ") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create: %v", err)
	}
	path = filepath.Join(t.TempDir(), "file")
	f, err := Create(path, Options{})
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, write := f.Write([]byte("x"))
	for name, err := range map[string]error{"Write": write, "Chmod": f.Chmod(0o600), "Sync": f.Sync(), "Commit": f.Commit()} {
		if err == nil || !strings.Contains(err.Error(), " "+path+": ") || !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSweepLeavesWhatIsWritten(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * time.Minute)
	for name, modified := range map[string]time.Time{"p-old": old, "p-new": time.Now(), "other": old} {
		put(t, filepath.Join(dir, name), "")
		if err := os.Chtimes(filepath.Join(dir, name), modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	if err := Sweep(dir, "p-", time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := others(t, filepath.Join(dir, "none")); !slices.Equal(got, []string{"other", "p-new"}) {
		t.Errorf("there are %q", got)
	}
}

// A clock that was set back makes files of the future.
func TestSweepOfAnyAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p-1")
	put(t, path, "")
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, future, future); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(filepath.Dir(path), "p-", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// others are the names beside a path.
func others(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestTarget names files as a user does: what a link leads to is the file, and a pipe stays one.
func TestTarget(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(path("file"), nil, 0o600), os.Symlink("file", path("link")), os.Symlink("none", path("broken"))); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, c := range []struct {
		name, want string
		kind       fs.FileMode // of what is there
		none       bool
	}{
		{path("file"), path("file"), 0, false},
		{path("link"), path("file"), 0, false},
		{path("broken"), path("none"), 0, true},
		{path("none"), path("none"), 0, true},
		{os.DevNull, os.DevNull, fs.ModeDevice | fs.ModeCharDevice, false},
		{dir, dir, fs.ModeDir, false},
	} {
		target, info, err := Target(c.name)
		if err != nil || target != c.want || (info == nil) != c.none || info != nil && info.Mode().Type() != c.kind {
			t.Errorf("%s: %s, %v, %v", c.name, target, info, err)
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	name := fmt.Sprintf("/proc/self/fd/%d", w.Fd())
	if target, info, err := Target(name); err != nil || target != name || info.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("%s: %s, %v, %v", name, target, info, err)
	}
}
