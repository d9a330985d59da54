package flock

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// holds is the file that the test binary, run as a process of its own, locks until it is killed.
const holds = "MAYFLY_TEST_LOCKED"

func TestMain(m *testing.M) {
	if path := os.Getenv(holds); path != "" {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			panic(err)
		}
		if ok, err := Try(f, Exclusive); !ok || err != nil {
			panic(err)
		}
		os.Stdout.WriteString("locked\n")
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent has gone
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func try1(t *testing.T, f *os.File, kind Kind) bool {
	t.Helper()
	ok, err := Try(f, kind)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestTry(t *testing.T) {
	for _, tt := range []struct {
		name          string
		first, second Kind
		want          bool
	}{
		{"shared, shared", Shared, Shared, true},
		{"shared, exclusive", Shared, Exclusive, false},
		{"exclusive, shared", Exclusive, Shared, false},
		{"exclusive, exclusive", Exclusive, Exclusive, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			first, second := open(t, path), open(t, path)
			if !try1(t, first, tt.first) {
				t.Fatal("a file that nobody has locked can't be locked")
			}
			if got := try1(t, second, tt.second); got != tt.want {
				t.Errorf("the second lock: %v, want %v", got, tt.want)
			}
			first.Close()
			if !try1(t, second, tt.second) {
				t.Error("closing the first file didn't free its lock")
			}
		})
	}
}

func TestErrorNamesTheFile(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "lock"))
	f.Close()
	ok, err := Try(f, Shared)
	var pathError *fs.PathError
	if ok || !errors.As(err, &pathError) || pathError.Op != "lock" || pathError.Path != f.Name() {
		t.Errorf("%v, %v", ok, err)
	}
}

// A lock ends with its process, however that ends.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f := open(t, path)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), holds+"="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatal(line, err)
	}
	if try1(t, f, Shared) {
		t.Error("another process's lock excludes nobody")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if !try1(t, f, Exclusive) {
		t.Error("a killed process's lock stays")
	}
}

// Whoever waits gets the lock once it is free, of the file that has the name then.
func TestOpenWaits(t *testing.T) {
	for _, tt := range []struct {
		name string
		free func(held *os.File) error
	}{
		{"for a lock", (*os.File).Close},
		{"for a lock whose file is removed", func(held *os.File) error { return errors.Join(os.Remove(held.Name()), held.Close()) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			held := open(t, path)
			if !try1(t, held, Exclusive) {
				t.Fatal("the first lock failed")
			}
			pauses, said := 0, 0
			ctx := pausing{t.Context(), func() {
				if pauses++; pauses != 3 {
					return
				}
				if err := tt.free(held); err != nil {
					t.Error(err)
				}
			}}
			f, err := Open(ctx, path, os.O_RDWR|os.O_CREATE, Shared, func() { said++ })
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if said != 1 || pauses != 3 {
				t.Errorf("it said %d times that it waits, and paused %d times", said, pauses)
			}
			if !Named(f) {
				t.Error("it locked a file that was removed")
			}
			if try1(t, open(t, path), Exclusive) {
				t.Error("its lock excludes nobody")
			}
		})
	}
}

// pausing calls a function at each pause.
type pausing struct {
	context.Context
	pause func()
}

func (p pausing) Done() <-chan struct{} {
	p.pause()
	return p.Context.Done()
}

// Processes that remove the file under its lock never have the lock at the same time.
func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				f, err := Open(t.Context(), path, os.O_RDWR|os.O_CREATE, Exclusive, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d have the lock", n)
				}
				inside.Add(-1) // before the name is gone: from then on another may have the lock of another file
				if err := errors.Join(os.Remove(path), f.Close()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestOpenDoesNotWaitForAFreeFile(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	f, err := Open(ended, filepath.Join(t.TempDir(), "lock"), os.O_RDWR|os.O_CREATE, Exclusive, func() { t.Error("it waits") })
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestOpenEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if !try1(t, open(t, path), Exclusive) {
		t.Fatal("the first lock failed")
	}
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, err := Open(ctx, path, os.O_RDWR, Shared, func() { cancel(why) }); !errors.Is(err, why) {
		t.Errorf("it ended with %v, want the context's cause", err)
	}
}

func TestOpenMakesNoFileUnasked(t *testing.T) {
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "lock"), os.O_RDWR, Exclusive, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that doesn't exist: %v", err)
	}
}

// A directory of another's may have been removed and made again between the opening and the lock.
func TestNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f := open(t, path)
	if !Named(f) {
		t.Error("a file has lost its name")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if Named(f) {
		t.Error("a removed file has its name")
	}
	open(t, path)
	if Named(f) {
		t.Error("a file has the name of another")
	}
}

func TestLinksAreRefused(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if f, err := Open(t.Context(), link, os.O_RDWR, Exclusive, nil); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("%v, %v", f, err)
	}
}
