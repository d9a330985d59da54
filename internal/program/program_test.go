//go:build unix

package program

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestFind checks that the program beside the running one comes before the one in PATH, so that two installations don't mix.
func TestFind(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inPath, beside := filepath.Join(t.TempDir(), Daemon), filepath.Join(filepath.Dir(self), Daemon)
	t.Setenv("PATH", filepath.Dir(inPath))

	_, err = Find(Daemon)
	var notFound *NotFoundError
	if !errors.As(err, &notFound) || !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("without the program: got %v, want a NotFoundError", err)
	}
	want := "mayflyd, which runs services, is neither beside " + self + " nor in PATH; install the programs in one folder: "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got the error %v, want %s…", err, want)
	}

	script(t, inPath, "exit 0")
	if path, err := Find(Daemon); path != inPath || err != nil {
		t.Errorf("in PATH: got %s, %v; want %s", path, err, inPath)
	}
	script(t, beside, "exit 0")
	t.Cleanup(func() {
		if err := os.Remove(beside); err != nil {
			t.Error(err)
		}
	})
	if path, err := Find(Daemon); path != beside || err != nil {
		t.Errorf("beside the running program: got %s, %v; want %s", path, err, beside)
	}
}

// TestPurposes checks that the error for each program says what the program is for.
func TestPurposes(t *testing.T) {
	for _, name := range []string{Shim, CEL, Daemon} {
		if purposes[name] == "" {
			t.Errorf("%s has no purpose", name)
		}
	}
}

func TestBuildOf(t *testing.T) {
	for _, c := range []struct{ name, text, version, problem string }{
		{"a program", `[ "$*" = "version --json" ] && echo '{"version":"v1.2.0","go":"go1.26.8","os":"linux","arch":"arm64"}'`, "v1.2.0", ""},
		{"a program without output", "exit 0", "", "doesn't say its version; install all programs from the same release"},
		{"a program with other output", "echo mayfly", "", "doesn't say its version"},
		{"a program that fails", "echo no such command >&2; exit 2", "", "exit status 2: no such command"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), Daemon)
			script(t, path, c.text)
			b, err := BuildOf(t.Context(), path)
			if b.Version != c.version || c.problem == "" && err != nil {
				t.Errorf("got %+v, %v; want the version %q", b, err, c.version)
			}
			if c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem) || !strings.Contains(err.Error(), path)) {
				t.Errorf("got the error %v, want %s", err, c.problem)
			}
		})
	}
	if _, err := BuildOf(t.Context(), filepath.Join(t.TempDir(), Daemon)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a program that doesn't exist: %v", err)
	}
}

func TestAnswerVersion(t *testing.T) {
	for _, c := range []struct {
		args     string
		answered bool
		begin    string
	}{
		{"version", true, "mayfly-cel dev "},
		{"version --json", true, `{"version":"dev","go":"go`},
		{"version more", false, ""},
		{"", false, ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out strings.Builder
			answered, err := AnswerVersion(&out, CEL, strings.Fields(c.args))
			if answered != c.answered || err != nil || !strings.HasPrefix(out.String(), c.begin) || (out.Len() > 0) != c.answered {
				t.Errorf("got %v, %v, %q; want %v, nil, %q…", answered, err, out.String(), c.answered, c.begin)
			}
		})
	}
}
