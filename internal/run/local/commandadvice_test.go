package local

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine/fake"
)

// TestCommandAdvice: there is advice for a command whose first word isn't a program, but a line for a shell or one of its builtins.
func TestCommandAdvice(t *testing.T) {
	const line, builtin = "the first word of a list is only the program; ", " is built into shells and isn't a program; "
	for _, c := range []struct{ command, want string }{
		{`["echo hi"]`, line + `write command: 'echo hi' for a shell, or [echo, hi]`},
		{`["ls -l", x]`, line + `write command: 'ls -l x' for a shell, or [ls, -l, x]`},
		{`["/bin/ls -l"]`, line + `write command: '/bin/ls -l' for a shell, or [/bin/ls, -l]`},
		{`["ls *.go | wc -l"]`, line + `write command: 'ls *.go | wc -l' for a shell`},
		{`["echo 'a b'"]`, line + `write command: 'echo ''a b''' for a shell`},
		{`["ls -l", "a b"]`, line + `write the command as one text for a shell`},
		{`["ls\n-l"]`, line + `write the command as one text for a shell`},
		{`[cd, /tmp]`, `"cd"` + builtin + `write command: 'cd /tmp && …' for a shell`},
		{`[source, "a b"]`, `"source"` + builtin + `write command: 'source …' for a shell`},
		{`[export, A=b]`, `"export"` + builtin + `write command: 'export A=b && …' for a shell`},
		{`[nosuch, a b]`, ""},
		{`[nosuch]`, ""},
	} {
		s := newSession(program(func(*fake.Process) int { return 0 }))
		result, err := s.run(t, "command: "+c.command+"\n", nil)
		if err == nil || result.ExitCode != 127 {
			t.Errorf("%s: got %+v, %v, want exit status 127", c.command, result, err)
			continue
		}
		want := "no such program"
		if c.want != "" {
			want += "; " + c.want
		}
		if !strings.HasSuffix(err.Error(), want) || !strings.HasSuffix(result.Reason, want) {
			t.Errorf("%s: got %v, want %s", c.command, err, want)
		}
	}
}
