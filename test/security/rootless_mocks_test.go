//go:build linux

package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRootlessMocks checks that the tests of an ordinary user have mocks too, without a network, which needs a /dev/net/tun that
// is open to users. The sockets belong to the user, and the sandbox's users must reach that of commands.
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
