//go:build linux

package mocks

import (
	"slices"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestCommandTheShellMayRunItself checks that the engine reports the mocked commands in a tool's text that its shell may have
// built in: a call of a built-in command can't be seen.
func TestCommandTheShellMayRunItself(t *testing.T) {
	base := newLab(t, link("usr/bin/date", "../../bin/busybox"), link("opt/sh", "/bin/busybox"), link("usr/bin/env", "../../bin/busybox"), imagetest.File{Name: "usr/bin/kubectl", Body: "#!/bin/sh\n", Mode: 0o755},
		imagetest.File{Name: "usr/bin/bash", Body: "#!/bin/sh\n", Mode: 0o755}, imagetest.File{Name: "usr/bin/python3", Body: "#!/bin/sh\n", Mode: 0o755})
	const script = "/run/mayfly/script"
	for name, c := range map[string]struct {
		args    []string
		content string
		want    []string
	}{
		"builtin":                    {[]string{"/bin/sh", "-c", "echo x"}, "", []string{"echo"}},
		"busybox's applet":           {[]string{"/bin/sh", "-c", "true && date>/dev/null"}, "", []string{"date"}},
		"both, in a script":          {[]string{"/bin/sh", "-e", script}, "echo x\ndate\n", []string{"date", "echo"}},
		"env before":                 {[]string{"/usr/bin/env", "sh", script}, "date\n", []string{"date"}},
		"busybox before":             {[]string{"/bin/busybox", "sh", "-c", "date"}, "", []string{"date"}},
		"by another link":            {[]string{"/opt/sh", "-c", "date"}, "", []string{"date"}},
		"bash has no date":           {[]string{"bash", "-c", "date; echo x"}, "", []string{"echo"}},
		"by its path":                {[]string{"/bin/sh", "-c", "/bin/date; /usr/bin/echo x"}, "", nil},
		"another word":               {[]string{"/bin/sh", "-c", "true || update; true || date-time; true || echo_all; true || ./date.sh"}, "", nil},
		"a program of its own":       {[]string{"/bin/sh", "-c", "kubectl get pods"}, "", nil},
		"not a shell":                {[]string{"python3", "-c", "date; echo"}, "", nil},
		"not a shell, with a script": {[]string{"python3", script}, "date; echo", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil, func(c *command) { c.exit(0) })
			l := &lab{t: t, engine: base.engine, image: base.image}
			spec := l.withCommands(s, "", "date", "echo", "kubectl")
			spec.Args = c.args
			spec.Environment = []engine.Variable{{Name: "PATH", Value: "/usr/bin:/bin"}}
			if c.content != "" {
				spec.Mounts = []engine.Mount{{Kind: engine.MountContent, Target: script, Content: []byte(c.content), Executable: true}}
			}
			if got := l.run(spec, nil).MayRunItself; !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
