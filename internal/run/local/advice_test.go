package local

import (
	"io"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

func TestAdvice(t *testing.T) {
	const root, secret = "capabilities: root", "secret is mounted at"
	for _, test := range []struct {
		name, output, want string
		status             int
		user               string
		capabilities       []string
	}{
		{"chown", "chown: a: Operation not permitted", root, 1, "", nil},
		{"Python", "PermissionError: [Errno 1] Operation not permitted: 'a'", root, 1, "0:0", nil},
		{"apt", "E: setgroups 65534 failed - setgroups (1: Operation not permitted)\nE: more\n", root, 100, "root", nil},
		{"Node", "Error: EPERM: operation not permitted, chown '/tmp'", root, 1, "", nil},
		{"Node without a path", "Error: EPERM: operation not permitted, setgroups", root, 1, "", nil},
		{"Rust", "Error: Operation not permitted (os error 1)", root, 1, "", nil},
		{"busybox", "chroot: permission denied (are you root?)", root, 1, "", nil},
		{"ping, which needs another capability", "ping: permission denied (are you root?)", "", 1, "", nil},
		{"ssh by password", "Permission denied, please try again.", "", 5, "", nil},
		{"another user", "chown: a: Operation not permitted", "", 1, "1000", nil},
		{"a user of that name", "chown: a: Operation not permitted", "", 1, "rooted", nil},
		{"it has the capabilities", "chown: a: Operation not permitted", "", 1, "", []string{"CAP_CHOWN"}},
		{"ssh", "git@host: Permission denied (publickey).", "", 128, "", nil},
		{"a file that isn't executable", "sh: ./x: Permission denied", "", 126, "", nil},
		{"long ago", "rm: Operation not permitted" + strings.Repeat("\nmore", 20), "", 1, "", nil},
		{"no secret", "cat: can't open '/secrets/db_password': No such file or directory", secret + " /secrets/db_password; add volumes: [{name: db_password, secret: db_password}]", 1, "", nil},
		{"no secret, Python", "FileNotFoundError: [Errno 2] No such file or directory: '/secrets/token'", secret + " /secrets/token;", 1, "1000", nil},
		{"a file of a folder of secrets", "cat: can't open '/secrets/mounted/user': No such file or directory", "", 1, "", nil},
		{"another file", "cat: /etc/x: No such file or directory", "", 1, "", nil},
		{"nothing", "", "", 1, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var last lastOutput
			w := last.tee(io.Discard)
			for _, line := range append([]string{strings.Repeat("x", 3*lastOutputBytes)}, strings.SplitAfter(test.output, "\n")...) {
				if n, err := io.WriteString(w, "\n"+strings.TrimSuffix(line, "\n")); err != nil || n == 0 {
					t.Fatal(n, err)
				}
			}
			if len(last.end) > lastOutputBytes {
				t.Errorf("%d bytes are kept, want at most %d", len(last.end), lastOutputBytes)
			}
			mounts := []engine.Mount{{Target: "/secrets/mounted/password"}}
			spec := &engine.Spec{Mounts: mounts, User: test.user, Security: engine.Security{Capabilities: test.capabilities}}
			if got := advice(spec, last.lines(), test.status); got == "" != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestReadOnlyAdvice(t *testing.T) {
	for line, told := range map[string]bool{
		"touch: /etc/x: Read-only file system":                            true,
		"touch: cannot touch '/etc/x': Read-only file system":             true,
		"OSError: [Errno 30] Read-only file system: '/etc/x'":             true,
		"Error: EROFS: read-only file system, open '/etc/x'":              true,
		"sysctl: cannot open '/proc/sys/kernel/x': Read-only file system": false,
		"touch: /sys: Read-only file system":                              false,
		"touch: /secrets/mounted/password: Read-only file system":         false,
		"touch: /secrets/x: Read-only file system":                        true,
		"touch: /secrets/mounted: Read-only file system":                  false,
		"touch: x: Read-only file system":                                 false, // it may be in a mount
		"INFO: /data is not a read-only file system: ok":                  false,
	} {
		spec := &engine.Spec{Mounts: []engine.Mount{{Target: "/secrets/mounted/password"}}}
		if got := readOnlyAdvice(spec, []string{line, "more"}); got != "" != told {
			t.Errorf("%s: got %q, want advice: %v", line, got, told)
		}
		spec.Security.Writable = true
		if got := readOnlyAdvice(spec, []string{line}); got != "" {
			t.Errorf("writable: %s: got %q, want no advice", line, got)
		}
	}
}
