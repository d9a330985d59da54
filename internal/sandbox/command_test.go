package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// foreignELF is the header of a program for a processor that Mayfly doesn't support (EM_SPARC).
const foreignELF = "\x7fELF\x02\x01\x01" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x02\x00\x02\x00\x01\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x40\x00\x38\x00\x00\x00\x40\x00\x00\x00\x00\x00"

// TestCheckMountedCommand: a command in a mounted file or folder is checked as one in the image is.
func TestCheckMountedCommand(t *testing.T) {
	dir := t.TempDir()
	root, folder := filepath.Join(dir, "root"), filepath.Join(dir, "folder")
	for _, d := range []string{"root/bin", "folder/sub"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, file := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"root/bin/sh":    {foreignELF, 0o755},
		"root/bin/inner": {"#!/t/good\n", 0o755},
		"good":           {"#!/m/sh\n", 0o755},
		"folder/sh":      {"", 0o755},
		"folder/plain":   {"echo x\n", 0o755},
		"folder/cr":      {"#!/bin/sh\r\n", 0o755},
		"folder/no":      {"#!/bin/nosuch\n", 0o755},
		"folder/foreign": {foreignELF, 0o755},
		"folder/mode":    {"#!/bin/sh\n", 0o644},
		"secret":         {"#!/secret/text\n", 0o400},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(file.text), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"inside": "cr", "out": "/bin/sh", "up": "../../bin/sh"} {
		if err := os.Symlink(to, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	r := &rootfs{dir: dir, root: root, targets: []string{"/t/good", "/m", "/t/secret", "/usr/mocked"}, sources: []specs.Mount{
		bind(filepath.Join(dir, "good"), "/t/good", "ro"),
		bind(folder, "/m", "ro"),
		bind(filepath.Join(dir, "secret"), "/t/secret", "ro", "noexec"),
	}}
	for _, tt := range []struct {
		command  string
		notFound bool
		want     string // part of the error; empty means no error
	}{
		{"/m/plain", false, "/m/plain is neither a program nor a script with a #! line"},
		{"/m/cr", false, "the first line of /m/cr ends with a carriage return"},
		{"/m/inside", false, "the first line of /m/inside ends with a carriage return"},
		{"/m/no", false, "its interpreter /bin/nosuch: "},
		{"/m/foreign", false, "it is a program for another processor (EM_SPARC); pull the image for " + runtime.GOARCH},
		{"/m/mode", false, "/m/mode has no execute permission; chmod +x the file that is mounted there"},
		{"/m/sub", false, "/m/sub is a directory"},
		{"/m", false, "/m is a directory"},
		{"/m/nosuch", true, "there is no /m/nosuch"},
		{"/m/cr/x", true, "there is no /m/cr/x"},
		{"/t/good/x", true, "there is no /t/good/x"},
		{"/t/secret", false, "/t/secret is mounted as a secret, which can't be executed"},
		{"/bin/inner", false, "its interpreter /t/good: "},
		// These are known only inside the sandbox.
		{"/m/out", false, ""},
		{"/m/up", false, ""},
		{"/usr/mocked", false, ""},
	} {
		err := r.checkCommand([]string{tt.command}, nil, "/")
		var ce *engine.CommandError
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.command, err)
		case tt.want == "":
		case !errors.As(err, &ce) || !strings.Contains(ce.Why, tt.want) || ce.NotFound != tt.notFound:
			t.Errorf("%s: got %v, want %q", tt.command, err, tt.want)
		}
	}
	// A link in a folder may lead to a place that another mount covers.
	r.targets = append(r.targets, "/m/sub")
	r.sources = append(r.sources, bind(root, "/m/sub", "ro"))
	if err := r.checkCommand([]string{"/m/plain"}, nil, "/"); err != nil {
		t.Errorf("a folder with a mount in it: %v", err)
	}
}

// TestArgumentListTooLong: arguments that Linux would refuse are refused before anything starts, with a remedy.
func TestArgumentListTooLong(t *testing.T) {
	numbered := func(n, size int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("V%04d=%s", i, strings.Repeat("z", size-len("V0000=")))
		}
		return list
	}
	const limit = 128 << 10 // of one argument, with its zero byte
	for _, tt := range []struct {
		name      string
		argv, env []string
		want      string // part of the error; empty means only that the program is missing
	}{
		{"an argument", []string{"sh", "-c", strings.Repeat("x", limit-1)}, nil, ""},
		{"a larger argument", []string{"sh", "-c", strings.Repeat("x", limit)}, nil, "an argument has 131072 bytes, and Linux takes at most 128 KiB; write the text as script, or mount it as a file"},
		{"a variable", []string{"sh"}, numbered(1, limit-1), ""},
		{"a larger variable", []string{"sh"}, append(numbered(1, 10), "DOC="+strings.Repeat("x", limit)), "the variable DOC has 131076 bytes, and Linux takes at most 128 KiB; mount the value as a file"},
		{"900 kB of variables", []string{"sh"}, numbered(900, 1000), ""},
		{"2 MiB of variables", []string{"sh"}, numbered(2<<20/1009, 1000), ""},
		{"more variables", []string{"sh"}, numbered(2<<20/1009+1, 1000), "its arguments and variables have 2097722 bytes, and Linux takes at most 2 MiB of them; write text as script, or mount it as files"},
		{"more arguments", append([]string{"sh"}, numbered(2<<20/1009+1, 1000)...), nil, "Linux takes at most 2 MiB of them; write text as script"},
		{"both together", append([]string{"sh"}, numbered(1100, 1000)...), numbered(1100, 1000), "Linux takes at most 2 MiB of them; write text as script"},
		{"many short ones", append([]string{"sh"}, numbered(150_000, 8)...), nil, "and Linux takes at most 2 MiB of them"},
	} {
		// The program doesn't exist; the sizes are checked first.
		err := (&rootfs{root: t.TempDir()}).checkCommand(tt.argv, tt.env, "/")
		var ce *engine.CommandError
		switch {
		case !errors.As(err, &ce) || ce.Path != "sh":
			t.Errorf("%s: %v", tt.name, err)
		case tt.want == "" && !ce.NotFound, tt.want != "" && (ce.NotFound || !strings.Contains(ce.Why, tt.want)):
			t.Errorf("%s: got %q, want %q", tt.name, ce.Why, tt.want)
		}
	}
}
