//go:build linux

package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestS03_InputsArriveAsBytes gives inputs that have a meaning in a shell, in YAML, in the definition's own references, or for a
// terminal.
func TestS03_InputsArriveAsBytes(t *testing.T) {
	c := newCLI(t)
	touched := filepath.Join(c.canary.dir, "canary") // a command run on the host would change it
	declared := c.tool("declared", `
args: [{name: value, type: string, required: true}]
environment: [FIXED=before]
command: [sh, -c, 'printf %s "$VALUE"; printf %s "$FIXED" >&2']
`)
	open := c.tool("open", `
script: |
  printf %s "$value"
`)
	scripted := c.tool("scripted", `
args: [{name: value, type: string}]
script: |
  #!/bin/sh
  printf %s "$VALUE"
`)
	for _, value := range []string{
		`"`, `'`, `"'"'"`, "`id`", `$(echo attack > ` + touched + `)`, "`echo attack > " + touched + "`", `; echo attack > ` + touched, `| cat`, `&& reboot`,
		"line 1\nline 2\n", "\nFIXED=after", "a\r\nb\tc", `${FIXED}`, `${inputs.value}`, `${{ secrets.x }}`, `$FIXED`, `%s%n%x`, `\n\x41\\`,
		"key: value\n- list\n", `{"a": [1, 2]}`, `&anchor *anchor !!python/object:x`, "--- \n...", "--flag", "-", `/secrets/stored`, `file:/etc/passwd`, `env:HOME`, `@/etc/passwd`,
		"€ 漢字 \u202e", "\x1b[31mred\x1b[0m", "=", "a=b=c", " leading and trailing ", strings.Repeat("long ", 10_000),
	} {
		for _, path := range []string{declared, open, scripted} {
			d := c.mayfly("run", path, "--quiet", "--arg", "value="+value)
			if d.code != 0 || d.stdout != value || path == declared && d.stderr != "before" {
				t.Errorf("%s: %.100q arrived as %.100q, %.300q, exit status %d", filepath.Base(path), value, d.stdout, d.stderr, d.code)
			}
		}
		d := c.mayfly("run", open, "--quiet", "--env", "value="+value)
		if d.stdout != value {
			t.Errorf("%.100q as a variable arrived as %.100q, %.300q", value, d.stdout, d.stderr)
		}
	}
	c.canary.unchanged()
	// An argument can't contain a NUL (execve(2)), so only bytes that aren't text are left to test.
	if d := c.mayfly("run", declared, "--quiet", "--arg", "value=a\xff"); d.code != 125 || !strings.Contains(d.stderr, "UTF-8") {
		t.Errorf("bytes that aren't text: %+v", d)
	}
	if _, err := os.Stat(touched); err != nil {
		t.Error(err)
	}
}
