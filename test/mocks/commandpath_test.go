//go:build linux

package mocks

import (
	"cmp"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestCommandByAnyWay checks that a tool reaches a mocked command by any path, and that nothing else with that name changes.
func TestCommandByAnyWay(t *testing.T) {
	const realOne = "#!/bin/sh\necho the real one\n"
	base := newLab(t,
		imagetest.File{Name: "usr/bin/kubectl", Body: realOne, Mode: 0o755},
		imagetest.File{Name: "opt/tools/libexec/kubectl", Body: realOne, Mode: 0o755},
		imagetest.File{Name: "opt/helm-3", Body: realOne, Mode: 0o755}, link("opt/tools/helm", "../helm-3"),
		imagetest.File{Name: "etc/kubectl", Body: "a configuration\n"},
		imagetest.File{Name: "usr/share/kubectl/", Mode: 0o755}, imagetest.File{Name: "usr/share/kubectl/notes", Body: "notes\n"},
		imagetest.File{Name: "opt/bin/", Mode: 0o755}, imagetest.File{Name: "opt/volume/", Mode: 0o755},
		imagetest.File{Name: "closed/bin/", Mode: 0o755}, imagetest.File{Name: "closed/", Mode: 0o700}, imagetest.File{Name: "closed/bin/kubectl", Body: realOne, Mode: 0o755},
		link("usr/local/bin/ash", "/opt/own/ash"), link("opt/own/ash", "../../bin/busybox"),
		imagetest.File{Name: "etc/profile", Body: "PATH=/usr/local/bin:/usr/bin:/bin\n"},
	)
	for name, c := range map[string]struct{ script, want, program string }{
		"PATH set anew":                   {`PATH=/usr/bin:/bin; kubectl`, "mocked kubectl", ""},
		"a login shell":                   {`sh -lc kubectl`, "mocked kubectl", ""},
		"an empty environment":            {`env -i /bin/sh -c kubectl`, "mocked kubectl", ""},
		"its path":                        {`/usr/bin/kubectl`, "mocked kubectl", ""},
		"outside of PATH":                 {`/opt/tools/libexec/kubectl`, "mocked kubectl", ""},
		"a link":                          {`/opt/tools/helm`, "mocked helm", ""},
		"a link's target":                 {`/opt/helm-3`, "the real one", ""},
		"the image has none":              {`PATH=/usr/local/bin:/bin; terraform; /usr/bin/terraform`, "mocked terraform\nmocked terraform", ""},
		"a folder of the tool's own PATH": {`/opt/bin/terraform`, "mocked terraform", ""},
		"a file that can't be executed":   {`cat /etc/kubectl`, "a configuration", ""},
		"a folder":                        {`cat /usr/share/kubectl/notes`, "notes", ""},
		"the tool's own file":             {`/own/kubectl`, "the tool's", ""},
		"a shell, and the tool's own":     {`dash -c 'echo not mocked'; /bin/sh -c 'echo the own one'`, "mocked dash\nthe own one", ""},
		"the tool's own, by a link":       {`echo the own one`, "the own one", "/usr/local/bin/ash"},
		"a closed folder stays closed":    {`/closed/bin/kubectl || stat -c %a /closed`, "700", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, writable := range []bool{false, true} {
				s := newServer(t, nil, func(c *command) { c.stdout("mocked " + c.args[0] + "\n"); c.exit(0) })
				l := &lab{t: t, engine: base.engine, image: base.image}
				spec := l.withCommands(s, c.script+" </dev/null", "kubectl", "helm", "terraform", "dash", "sh", "ash")
				spec.Args[0], spec.User, spec.Security.Writable = cmp.Or(c.program, "/bin/sh"), "1000:1000", writable
				spec.Environment = []engine.Variable{{Name: "PATH", Value: "/opt/bin:/opt/volume:/usr/bin:/bin:/nowhere:/proc/self:relative"}}
				spec.Mounts = []engine.Mount{
					{Kind: engine.MountContent, Target: "/own/kubectl", Content: []byte("#!/bin/sh\necho \"the tool's\"\n"), Executable: true},
					{Kind: engine.MountScratch, Target: "/opt/volume", Size: 1 << 20},
				}
				if r := l.run(spec, nil); strings.TrimSpace(r.stdout) != c.want {
					t.Errorf("writable %v: got %q %q, want %q", writable, r.stdout, r.stderr, c.want)
				}
			}
		})
	}
}
