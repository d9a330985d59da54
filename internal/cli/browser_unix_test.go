//go:build unix

package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestWithBrowser has a program print addresses: the first one is opened, everything is shown, and its exit status is that of the command.
func TestWithBrowser(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return file
	}
	browser := map[bool]string{true: "open", false: "xdg-open"}[runtime.GOOS == "darwin"]
	write(browser, `echo "$@" > opened.new && mv opened.new opened`)
	// It ends when the browser was opened.
	program := write("program", `echo "see http://elsewhere"; echo "  http://127.0.0.1:1/start?code=A"; echo "  http://127.0.0.1:1/start?code=B"
while [ ! -e opened ]; do sleep 0.01; done; echo "$1"; exit 7`)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Chdir(dir)
	var out, problems bytes.Buffer
	err := withBrowser(t.Context(), streams{in: strings.NewReader(""), out: &out, err: &problems}, program, []string{"dev"})
	var exit *exitError
	if !errors.As(err, &exit) || exit.status != 7 {
		t.Errorf("%v", err)
	}
	if want := "see http://elsewhere\n  http://127.0.0.1:1/start?code=A\n  http://127.0.0.1:1/start?code=B\ndev\n"; out.String() != want {
		t.Errorf("it shows %q, want %q", out.String(), want)
	}
	if opened, err := os.ReadFile("opened"); err != nil || string(opened) != "http://127.0.0.1:1/start?code=A\n" {
		t.Errorf("opened: %q, %v", opened, err)
	}
}

// TestBrowserSignal has the program be ended by a signal: the exit status says so, as if the program were this process.
func TestBrowserSignal(t *testing.T) {
	err := withBrowser(t.Context(), streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}, "/bin/sh", []string{"-c", "kill -INT $$"})
	var exit *exitError
	if !errors.As(err, &exit) || exit.status != 130 {
		t.Errorf("%v", err)
	}
}
