package tool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// TestFilesOfVolumes: a file that is missing, or that can't be looked up in the tool's folder, is reported with its place.
func TestFilesOfVolumes(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "here"), nil, 0o600), os.Symlink("/etc/passwd", filepath.Join(dir, "out"))); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"here":   "",
		"none":   `t.yaml:2:1: volume v: there is no file or folder "none"; the path is relative to the tool's folder, ` + dir,
		"out":    `t.yaml:2:1: volume v: "out" can't be read: statat out: path escapes from parent; the path is relative to the tool's folder, ` + dir,
		"here/x": `t.yaml:2:1: volume v: "here/x" can't be read: statat here/x: not a directory; the path is relative to the tool's folder, ` + dir,
	} {
		tool := &Tool{Source: Source{Dir: dir}, Volumes: []Volume{{Name: "v", File: file, Position: shape.Position{File: "t.yaml", Line: 2, Column: 1}}}}
		if err := tool.ReadFiles(); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: got %v, want %s", file, err, want)
		}
	}
}

// TestReadFiles: a script with bytes that an editor of another system adds is refused before a shell reads them as part of a command.
func TestReadFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"plain", "#!/bin/sh\necho a\n", ""},
		{"line breaks of Windows", "#!/bin/sh\r\necho a\r\n", `t.yaml:2:1: script file "x.sh" has Windows line breaks (CR LF)`},
		{"line breaks of Windows for another program", "#!/usr/bin/python3\r\nprint(1)\r\n", ""},
		{"line breaks of Windows without a first line", "echo a\r\necho b\r\n", `script file "x.sh" has Windows line breaks (CR LF), and a shell reads the CR as part of a word; save it with line feeds only: sed -i 's/\r$//' x.sh`},
		{"line breaks of Windows for bash by env", "#!/usr/bin/env bash\r\necho a\r\n", `(CR LF)`},
		{"line breaks of Windows, not in the first line", "#! /bin/dash -e\necho a\r\n", `(CR LF)`},
		{"a carriage return within a line", "#!/bin/sh\nprintf 'a\rb'\n", ""},
		{"byte order mark", "\ufeff#!/bin/bash\necho a\n", `t.yaml:2:1: script file "x.sh" begins with a byte order mark, so its first line isn't read; save it as UTF-8 without one: sed -i '1s/^\xEF\xBB\xBF//' x.sh`},
		{"byte order mark for another program", "\ufeff#!/usr/bin/python3\nprint(1)\n", `begins with a byte order mark`},
		{"byte order mark within", "#!/bin/sh\necho '\ufeff'\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "x.sh"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			tool := &Tool{Source: Source{Dir: dir}, Script: &Script{File: "x.sh", Position: shape.Position{File: "t.yaml", Line: 2, Column: 1}}}
			err := tool.ReadFiles()
			switch {
			case c.want == "" && (err != nil || tool.Script.Text != c.text):
				t.Errorf("got %v, %q, want %q", err, tool.Script.Text, c.text)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
