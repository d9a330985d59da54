//go:build linux

package mocks

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// withCommands returns a spec that runs a shell script with mocked commands.
func (l *lab) withCommands(s *server, script string, names ...string) *engine.Spec {
	spec := l.spec(s, none, "sh", "-c", script)
	spec.Mocks.Commands = names
	return spec
}

// echo answers with the arguments and the standard input, and exits with status 3.
func echo(c *command) {
	input, _ := io.ReadAll(c.stdin)
	c.stdout(fmt.Sprintf("%q\n", c.args))
	c.stderr(fmt.Sprintf("%q\n", input))
	c.exit(3)
}

func TestCommand(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct {
		script         string
		stdout, stderr string
	}{
		"arguments":      {`kubectl get "a b" '' "$(printf 'x\ny')" < /dev/null; echo $?`, "[\"kubectl\" \"get\" \"a b\" \"\" \"x\\ny\"]\n3\n", "\"\"\n"},
		"none":           {`kubectl < /dev/null; echo $?`, "[\"kubectl\"]\n3\n", "\"\"\n"},
		"a pipe":         {`printf 'a\nb' | kubectl apply -f -; echo $?`, "[\"kubectl\" \"apply\" \"-f\" \"-\"]\n3\n", "\"a\\nb\"\n"},
		"a file":         {`kubectl < /etc/hostname 2>/dev/null; echo $?`, "[\"kubectl\"]\n3\n", ""},
		"a closed input": {`kubectl <&-; echo $?`, "[\"kubectl\"]\n3\n", "\"\"\n"},
		"all closed":     {`kubectl <&- >&- 2>&-; echo $?`, "3\n", ""},
		"another name":   {`ln -s "$(command -v kubectl)" /tmp/k; /tmp/k </dev/null 2>/dev/null; echo $?`, "[\"kubectl\"]\n3\n", ""},
		"argument 0":     {`for name in mayfly-userns mayfly-wait init mayfly-shim; do client as "$(command -v kubectl)" $name supervise 1 1 here </dev/null 2>/dev/null; done; echo $?`, strings.Repeat("[\"kubectl\" \"supervise\" \"1\" \"1\" \"here\"]\n", 4) + "3\n", ""},
		"its path":       {`command -v kubectl; echo "$PATH" | cut -d: -f1`, "/run/mayfly/commands/kubectl\n/run/mayfly/commands\n", ""},
		"environment":    {`env -i "$(command -v kubectl)" </dev/null 2>/dev/null; _LIBCONTAINER_INITPIPE=3 kubectl </dev/null 2>/dev/null`, "[\"kubectl\"]\n[\"kubectl\"]\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, s := &lab{t: t, engine: l.engine, image: l.image}, newServer(t, nil, echo)
			r, err := l.try(l.withCommands(s, c.script, "kubectl", "helm"), nil)
			if err != nil || r.stdout != c.stdout || r.stderr != c.stderr {
				t.Errorf("%q %q %v, want %q %q", r.stdout, r.stderr, err, c.stdout, c.stderr)
			}
		})
	}
}

// TestCommandShadowsTheImages checks that a mocked command comes before the image's, also if it is the command of the tool
// itself, and if the tool sets PATH.
func TestCommandShadowsTheImages(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, echo)
	for _, path := range []string{"", "/bin:/nowhere"} {
		spec := l.withCommands(s, "", "ls")
		spec.Args = []string{"ls", "-l"}
		if path != "" {
			spec.Environment = []engine.Variable{{Name: "PATH", Value: path}}
		}
		if r, err := l.try(spec, nil); err != nil || r.Code != 3 || r.stdout != "[\"ls\" \"-l\"]\n" {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// TestCommandNotFound checks that a missing command that isn't mocked is still reported.
func TestCommandNotFound(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, nil)
	spec := l.withCommands(s, "", "kubectl")
	spec.Args = []string{"helm"}
	_, err := l.try(spec, nil)
	if err == nil || !strings.Contains(err.Error(), "in no folder of PATH") {
		t.Error(err)
	}
}

// TestCommandAnswersFirst checks mocks that answer without reading, or with a large answer, before a large input has ended.
func TestCommandAnswersFirst(t *testing.T) {
	l := newLab(t)
	t.Run("and exits", func(t *testing.T) {
		s := newServer(t, nil, func(c *command) { c.stdout("enough\n"); c.exit(7); _, _ = io.ReadAll(c.stdin) })
		l := &lab{t: t, engine: l.engine, image: l.image}
		r := l.run(l.withCommands(s, `mkfifo /tmp/f; { head -c 1000000 /dev/zero; exec sleep 300; } > /tmp/f & kubectl < /tmp/f; echo $?`, "kubectl"), nil)
		if r.stdout != "enough\n7\n" {
			t.Errorf("%q %q", r.stdout, r.stderr)
		}
	})
	t.Run("and closes", func(t *testing.T) {
		s := newServer(t, nil, func(c *command) { c.exit(7) })
		l := &lab{t: t, engine: l.engine, image: l.image}
		r := l.run(l.withCommands(s, `yes | kubectl; echo $?`, "kubectl"), nil)
		if r.stdout != "7\n" {
			t.Errorf("%q %q", r.stdout, r.stderr)
		}
	})
	t.Run("and much", func(t *testing.T) {
		const size = 5_000_000
		s := newServer(t, nil, func(c *command) {
			for range size / 1000 {
				c.stdout(strings.Repeat("x", 1000))
			}
			n, _ := io.Copy(io.Discard, c.stdin)
			c.stderr(fmt.Sprint(n))
			c.exit(0)
		})
		l := &lab{t: t, engine: l.engine, image: l.image}
		r := l.run(l.withCommands(s, fmt.Sprintf(`head -c %d /dev/zero | kubectl | wc -c`, size), "kubectl"), nil)
		if r.stdout != fmt.Sprint(size)+"\n" || r.stderr != fmt.Sprint(size) {
			t.Errorf("%q %q", r.stdout, r.stderr)
		}
	})
	t.Run("to nobody", func(t *testing.T) {
		s := newServer(t, nil, func(c *command) {
			for range 1000 {
				c.stdout(strings.Repeat("x\n", 1000))
			}
			c.exit(9)
		})
		l := &lab{t: t, engine: l.engine, image: l.image}
		r := l.run(l.withCommands(s, `{ kubectl </dev/null; echo $? >&2; } | head -n 1`, "kubectl"), nil)
		if r.stdout != "x\n" || r.stderr != "9\n" {
			t.Errorf("%q %q", r.stdout, r.stderr)
		}
	})
}

// TestCommandInput checks that 20 MB of standard input arrive completely.
func TestCommandInput(t *testing.T) {
	l := newLab(t)
	s := newServer(t, nil, func(c *command) {
		h := sha256.New()
		_, _ = io.Copy(h, c.stdin)
		c.stdout(fmt.Sprintf("%x\n", h.Sum(nil)))
		c.exit(0)
	})
	r := l.run(l.withCommands(s, `head -c 20000000 /dev/urandom | tee /tmp/x | kubectl; sha256sum < /tmp/x | cut -d' ' -f1`, "kubectl"), nil)
	if a, b, _ := strings.Cut(r.stdout, "\n"); a+"\n" != b || len(a) != 64 {
		t.Errorf("%q", r.stdout)
	}
}

// TestCommandTerminal checks that a terminal as standard input counts as empty: nothing would tell its end.
func TestCommandTerminal(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, echo)
	spec := l.withCommands(s, "kubectl get; echo $?", "kubectl")
	spec.Terminal, spec.Columns, spec.Rows = true, 80, 24
	r := l.run(spec, nil)
	if got := strings.ReplaceAll(r.stdout, "\r", ""); got != "[\"kubectl\" \"get\"]\n\"\"\n3\n" {
		t.Errorf("%q", got)
	}
}

// TestCommandMockFails checks that a command whose mock fails says so, and exits with status 125.
func TestCommandMockFails(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct {
		run func(*command)
		why string
	}{
		"no answer":         {func(*command) {}, "ended without an exit status"},
		"an answer cut off": {func(c *command) { _, _ = c.Write([]byte{1, 0, 0, 1, 0, 'x'}) }, "ended without an exit status"},
		"another kind":      {func(c *command) { _ = c.frame(4, "x") }, "kind 4"},
		"a status of two":   {func(c *command) { _ = c.frame(3, "xy") }, "2 bytes"},
		"4 GB of status":    {func(c *command) { _, _ = c.Write([]byte{3, 255, 255, 255, 255}) }, "4294967295 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			l, s := &lab{t: t, engine: l.engine, image: l.image}, newServer(t, nil, c.run)
			r, err := l.try(l.withCommands(s, "exec kubectl < /dev/null", "kubectl"), nil)
			if err != nil || r.Code != 125 || !strings.HasPrefix(r.stderr, "kubectl: ") || !strings.Contains(r.stderr, c.why) {
				t.Errorf("%v: %+v", err, r)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		l, s := &lab{t: t, engine: l.engine, image: l.image}, newServer(t, nil, nil)
		live, err := l.start(l.withCommands(s, "read line; exec kubectl", "kubectl"), readerFunc(func([]byte) (int, error) {
			s.close()
			return 0, io.EOF
		}))
		if err != nil {
			t.Fatal(err)
		}
		r, err := live.wait()
		if err != nil || r.Code != 125 || !strings.Contains(r.stderr, "connect to /run/mayfly/commands.sock") {
			t.Errorf("%v: %+v", err, r)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestCommandsManyAtOnce(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, func(c *command) { c.stdout("ok\n"); c.exit(0) })
	r := l.run(l.withCommands(s, `for i in $(seq 200); do kubectl $i </dev/null & done; wait`, "kubectl"), nil)
	if n := strings.Count(r.stdout, "ok\n"); n != 200 || len(s.runs) != 200 {
		t.Errorf("%d answers to %d", n, len(s.runs))
	}
}

// TestCommandsHaveManyNames checks many names and unusual ones, up to the length of a file's name.
func TestCommandsHaveManyNames(t *testing.T) {
	l, s := newLab(t), newServer(t, nil, func(c *command) { c.exit(0) })
	names := []string{strings.Repeat("n", 255), "[", "name with spaces", "ünï", "-rf"}
	for i := range 100 {
		names = append(names, fmt.Sprint("command-", i))
	}
	l.run(l.withCommands(s, `cd /run/mayfly/commands; for c in *; do "./$c" </dev/null || exit; done`, names...), nil)
	got := map[string]bool{}
	for _, args := range s.runs {
		got[args[0]] = true
	}
	for _, name := range names {
		if !got[name] {
			t.Errorf("%q didn't run", name)
		}
	}
}

// TestCommandWithoutAShell runs a mocked command in an image without any program, as root and as a user, with a read-only and
// a writable file system.
func TestCommandWithoutAShell(t *testing.T) {
	image := testbed.Unpack(t, imagetest.Config{}, imagetest.Tar(t, imagetest.File{Name: "etc/"}))
	l, s := &lab{t: t, engine: testbed.Engine(t), image: image}, newServer(t, nil, echo)
	for _, user := range []string{"", "1000:1000"} {
		for _, writable := range []bool{false, true} {
			spec := l.withCommands(s, "", "kubectl")
			spec.Args, spec.User, spec.Security.Writable = []string{"kubectl", "version"}, user, writable
			spec.Resources.PIDs = 8 // includes libcontainer's threads, until it executes the command
			r, err := l.try(spec, strings.NewReader("input"))
			if err != nil || r.Code != 3 || r.stdout != "[\"kubectl\" \"version\"]\n" || r.stderr != "\"input\"\n" {
				t.Errorf("user %q, writable %v: %v %+v", user, writable, err, r)
			}
		}
	}
}

// TestI03_MockedCommandsCantBeOverwritten attacks the program in place of mocked commands, which comes from the host: through
// its path, through a process that runs it, and through its folder.
func TestI03_MockedCommandsCantBeOverwritten(t *testing.T) {
	shim := filepath.Join(testbed.Bin(t), "mayfly-shim")
	before := hash(t, shim)
	l := newLab(t)
	for _, user := range []string{"", "1000:1000"} {
		for _, writable := range []bool{false, true} {
			t.Run(fmt.Sprintf("user %q, writable %v", user, writable), func(t *testing.T) {
				over := make(chan struct{})
				s := newServer(t, nil, func(c *command) {
					if len(c.args) > 1 {
						close(over)
					} else {
						<-over
					}
					c.exit(0)
				})
				l := &lab{t: t, engine: l.engine, image: l.image}
				spec := l.withCommands(s, `sleep 300 | kubectl & sleep 0.2
for p in $(pidof kubectl); do echo found; client open /proc/$p/exe; echo x 2>/dev/null > /proc/$p/exe && echo WROTE; done
f=/run/mayfly/commands/kubectl
client open $f /run/mayfly/commands.sock
for c in "cp /bin/busybox $f" "mv $f /tmp/x" "rm -f $f" "chmod 777 $f" "chown 0 $f" "ln -f /bin/busybox $f" "truncate -s 0 $f" "rm -f /run/mayfly/commands.sock" "chmod 777 /run/mayfly/commands.sock"; do
  $c 2>/dev/null && echo "DID $c"
done
kubectl end </dev/null; while pidof kubectl >/dev/null; do sleep 0.05; done
echo over; client open $f`, "kubectl")
				spec.User, spec.Security.Writable = user, writable
				r := l.run(spec, nil)
				if !strings.Contains(r.stdout, "found") || !strings.Contains(r.stdout, "over") || strings.Contains(r.stdout, "WROTE") || strings.Contains(r.stdout, "DID") {
					t.Errorf("%s%s", r.stdout, r.stderr)
				}
				opened := 0
				for what, outcome := range r.lines() {
					opened++
					// At the last try no process executes it.
					if strings.HasPrefix(what, "/run/mayfly/commands/") && outcome == "text file busy" {
						t.Errorf("%s: %s", what, outcome)
					}
					if outcome != "read-only file system" && outcome != "permission denied" && outcome != "text file busy" && outcome != "no such device or address" {
						t.Errorf("%s: %s", what, outcome)
					}
				}
				if opened < 3 {
					t.Errorf("%d attempts to open, want at least 3: %s", opened, r.stdout)
				}
			})
		}
	}
	if after := hash(t, shim); after != before {
		t.Errorf("mayfly-shim was %s and is %s", before, after)
	}
}

func hash(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x %v", sha256.Sum256(data), info.Mode())
}
