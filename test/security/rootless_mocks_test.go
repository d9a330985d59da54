//go:build linux

package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An ordinary user's tests have mocks too, without a network where /dev/net/tun isn't open to users: the sockets are the user's, and the sandbox's users reach that of commands.
func TestRootlessMocks(t *testing.T) {
	c := newRootless(t)
	suite := filepath.Join(c.tools, "a_test.yaml")
	text := `
tool: {image: "` + cliImage + `", command: ["/bin/busybox", sh, -c, "busybox wget -qO- http://localhost:8080/; git status"], network: none, security: {user: "1000:1000"}}
tests:
  - name: mocked
    http: [{port: 8080, body: "from near "}]
    commands: [{command: git, args: [status], stdout: clean}]
    expect: {stdout: "from near clean"}
`
	if err := os.WriteFile(suite, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d := c.mayfly("test", suite)
	if d.code != 0 || !strings.Contains(d.stdout, "1 passed") {
		t.Errorf("status %d\n%s%s", d.code, d.stdout, d.stderr)
	}
}
