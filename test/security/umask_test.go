//go:build linux

package security

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestUmask runs and tests tools, and opens a shell, with the umask of a hardened shell or service. The tool must have its usual
// umask and reach all of its files.
func TestUmask(t *testing.T) {
	for name, newOne := range map[string]func(*testing.T) *cli{
		"root":     func(t *testing.T) *cli { return newCLI(t) },
		"rootless": newRootless,
	} {
		t.Run(name, func(t *testing.T) {
			c := newOne(t)
			c.prefix = underUmask("077", c.command().Args)
			c.load() // the image was loaded with another umask
			if err := os.WriteFile(filepath.Join(c.tools, "note"), []byte("read me\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			path := c.tool("closed", `
security: {user: "1000:1000"}
volumes: [{name: kept, cache: kept, mount_path: /keep}, {name: note, file: note, mount_path: /note}]
script: |
  umask
  cat /note && ls -d /keep && echo x > /keep/f
  cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max
`)
			d := c.mayfly("run", path, "--memory", "64Mi")
			if want := "0022\nread me\n/keep\n67108864\n"; d.code != 0 || d.stdout != want {
				t.Errorf("status %d, %q, want %q; %s", d.code, d.stdout, want, d.stderr)
			}
			if d := c.mayfly("run", path, "--memory", "64Mi"); d.code != 0 {
				t.Errorf("the second: status %d, %s", d.code, d.stderr)
			}
			c.mocksUnderUmask()
			c.shellUnderUmask()
		})
	}
}

// underUmask returns a command line that runs argv with a umask.
func underUmask(mask string, argv []string) []string {
	return append([]string{"sh", "-c", "umask " + mask + `; exec "$@"`, "sh"}, argv...)
}

func (c *cli) mocksUnderUmask() {
	c.t.Helper()
	suite := filepath.Join(c.tools, "a_test.yaml")
	text := `
tool: {image: "` + cliImage + `", command: ["/bin/busybox", sh, -c, "git status"], network: none, security: {user: "1000:1000"}}
tests: [{name: mocked, commands: [{command: git, args: [status], stdout: clean}], expect: {stdout: clean}}]
`
	if err := os.WriteFile(suite, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	if d := c.mayfly("test", suite); d.code != 0 {
		c.t.Errorf("a test: status %d\n%s%s", d.code, d.stdout, d.stderr)
	}
}

func (c *cli) shellUnderUmask() {
	c.t.Helper()
	failed := c.mayfly("run", c.tool("failing", "command: [/bin/busybox, \"false\"]\n"), "--keep-on-failure", "--json")
	_, rest, _ := strings.Cut(failed.stdout, `"run":"`)
	id, _, _ := strings.Cut(rest, `"`)
	if d := c.mayfly("shell", id, "--", "/bin/busybox", "sh", "-c", "umask"); d.stdout != "0022\n" {
		c.t.Errorf("a shell: status %d, %q, %s", d.code, d.stdout, d.stderr)
	}
	if d := c.mayfly("shell", "--remove", id); d.code != 0 {
		c.t.Errorf("status %d: %s", d.code, d.stderr)
	}
}

// TestUmaskOfUsersFiles checks that the files that mayfly writes for its user follow the umask.
func TestUmaskOfUsersFiles(t *testing.T) {
	mayfly := filepath.Join(testbed.Bin(t), "mayfly")
	for mask, want := range map[string]os.FileMode{"077": 0o600, "022": 0o644} {
		argv := underUmask(mask, []string{mayfly, "init", "backup"})
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "MAYFLY_HOME="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		made, err := filepath.Glob(filepath.Join(cmd.Dir, "tools/backup/*"))
		if err != nil || len(made) == 0 {
			t.Fatalf("%q, %v", made, err)
		}
		for _, file := range made {
			if info, err := os.Stat(file); err != nil || info.Mode() != want {
				t.Errorf("umask %s: %s is %v, %v", mask, file, info.Mode(), err)
			}
		}
	}
}
