//go:build linux

package mocks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/tooltest/report"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// one writes a test file with one test of a client. The keys of tool are added to its tool, and those of more to its test.
func (s *suites) one(c *webClient, name, features string, tool, more map[string]any) {
	s.t.Helper()
	test := map[string]any{"name": name, "environment": map[string]any{"FEATURES": features}}
	for key, value := range more {
		test[key] = value
	}
	s.add(name, map[string]any{"tool": c.tool(tool), "tests": []any{test}})
}

// TestClientsLarge sends 100 MB in each direction, by HTTP/1.1 and by HTTP/2, and checks that mayfly's memory stays small.
func TestClientsLarge(t *testing.T) {
	const most = 64 << 10 // kB
	s := newSuites(t)
	s.write("large", "")
	if err := os.Truncate(filepath.Join(s.dir, "large"), 100<<20); err != nil {
		t.Fatal(err)
	}
	mocks := []any{
		map[string]any{"host": "large.example", "path": "/large", "file": "large"},
		map[string]any{"host": "large.example", "method": "PUT", "path": "/upload"},
	}
	for scheme, protocol := range map[string]string{"http": "HTTP/1.1", "https": "HTTP/2.0"} {
		s.one(&webClients[0], scheme, "down up", nil, map[string]any{"environment": map[string]any{"FEATURES": "down up", "SCHEME": scheme}, "http": mocks})
		t.Run("curl/"+protocol, func(t *testing.T) {
			r := s.run(scheme + "_test.yaml")
			t.Logf("200 MB took %v, mayfly had at most %d MB", r.took, r.peak>>10)
			res := r.result(t, scheme)
			for _, name := range []string{"down", "up"} {
				// curl's count of an upload may include the lengths of its chunks: the slower they come, the more there are.
				var status, n int
				got := outcomes(res)[name]
				if _, err := fmt.Sscan(got, &status, &n); err != nil || status != 200 || n < 100<<20 || n > 110<<20 {
					t.Errorf("%s: %q (%v)", name, got, err)
				}
			}
			if n := len(res.Requests); res.Status != report.Passed || n != 2 || res.Requests[n-1].BodySize != 100<<20 || !res.Requests[n-1].BodyTruncated || res.Requests[0].Protocol != protocol {
				t.Errorf("%s, %d requests: %.1000s", res.Status, n, r.text)
			}
			if r.peak == 0 || r.peak > most {
				t.Errorf("mayfly had %d kB", r.peak)
			}
		})
	}
}

// TestClientsCommands calls a mocked command from sh, Python and Go.
func TestClientsCommands(t *testing.T) {
	s := newSuites(t)
	s.programs()
	clients := []webClient{
		{"sh", "sh /tools/deploy.sh", []string{"deploy.sh"}, ""},
		{"python", "python3 /tools/deploy.py", []string{"deploy.py"}, ""},
		{"go", "/tools/go-static command", []string{"go-static"}, ""},
	}
	for i := range clients {
		c := &clients[i]
		s.one(c, c.name, "", nil, map[string]any{
			"commands": []any{map[string]any{
				"command": "deploy", "args": []any{"--app", "a b", ""}, "stdin": "from " + c.name, "stdout": "done\n", "stderr": "warned\n", "exit_code": 3,
			}},
			"expect": map[string]any{"all_mocks_used": true},
		})
	}
	r := s.run()
	for i := range clients {
		t.Run(clients[i].name, func(t *testing.T) {
			res := r.result(t, clients[i].name)
			if got := outcomes(res)["command"]; got != "done warned 3" || res.Status != report.Passed {
				t.Errorf("%q: %s %s %v %s", got, res.Status, res.Error, res.Failures, res.Stderr)
			}
		})
	}
}

// TestClientsGit clones a repository whose files mocks serve.
func TestClientsGit(t *testing.T) {
	s := newSuites(t)
	script := `git init -q -b main r && cd r && git -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m 'a mocked commit' && git clone -q --bare . ../repo.git && git -C ../repo.git update-server-info`
	c := exec.Command("sh", "-c", script)
	c.Dir = s.dir
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("make a repository: %v\n%s", err, text)
	}
	var mocks []any
	if err := filepath.WalkDir(filepath.Join(s.dir, "repo.git"), func(path string, d fs.DirEntry, err error) error {
		if name := strings.TrimPrefix(path, s.dir+"/"); err == nil && d.Type().IsRegular() && !strings.Contains(name, "hooks") {
			mocks = append(mocks, map[string]any{"host": "git.example", "path": "/" + name, "file": name})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	mocks = append(mocks, map[string]any{"host": "git.example", "status": 404})
	git := &webClient{"git", "bash /tools/git.sh", []string{"git.sh"}, ""}
	s.one(git, "git", "clone", nil, map[string]any{"http": mocks})
	res := s.run().result(t, "git")
	if got := outcomes(res)["clone"]; got != "a mocked commit" || res.Status != report.Passed {
		t.Errorf("%q: %s %v %s", got, res.Status, res.Failures, res.Stderr)
	}
}

// authorityFor returns the file of a new authority, and its certificate for a name.
func authorityFor(t *testing.T, name string) (file string, cert tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestClientsRecord records the answers of a TLS server on this machine that speaks only HTTP/1.1 or only HTTP/2, and replays
// them.
func TestClientsRecord(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			ca, cert := authorityFor(t, "host.mayfly.internal")
			asked := 0
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				body, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %s", r.Proto, body)
			}))
			var protocols http.Protocols
			protocols.SetHTTP1(protocol != "h2")
			protocols.SetHTTP2(protocol == "h2")
			server.Config.Protocols = &protocols
			server.EnableHTTP2 = protocol == "h2"
			server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{protocol}}
			server.StartTLS()
			defer server.Close()
			_, port, err := net.SplitHostPort(server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			s := newSuites(t)
			suite := map[string]any{
				"tool": map[string]any{
					"name": "record", "image": "mayfly/clients", "network": []any{map[string]any{"host": "host.mayfly.internal"}},
					"command": fmt.Sprintf(`curl -sS -d body -w ' %%{http_version}' https://host.mayfly.internal:%s/a`, port),
				},
				"tests": []any{map[string]any{"name": "record"}},
			}
			s.add("it", suite)
			c := s.command("--record", "--json")
			c.Env = append(c.Env, "SSL_CERT_FILE="+ca)
			res := s.await(c).result(t, "record")
			proto := map[string]string{"http/1.1": "HTTP/1.1", "h2": "HTTP/2.0"}[protocol]
			if res.Status != report.Passed || res.Stdout != proto+" body 2" || res.Recorded == "" || asked != 1 {
				t.Fatalf("%s %q %v %q, asked %d times", res.Status, res.Stdout, res.Failures, res.Stderr, asked)
			}
			server.Close()
			suite["mocks"] = filepath.Base(res.Recorded)
			s.add("it", suite)
			again := s.run().result(t, "record")
			if again.Status != report.Passed || again.Stdout != res.Stdout || asked != 1 {
				t.Errorf("replayed: %s %q %v", again.Status, again.Stdout, again.Failures)
			}
		})
	}
}

// TestClientsHostile attacks the mocks from inside a test. The test must fail with a reason, and mayfly's memory is bounded.
func TestClientsHostile(t *testing.T) {
	s := newSuites(t)
	for _, c := range []struct {
		name, failure string
		most          int // MB
	}{
		{"commands", "connection to the mocked commands: what connects isn't a mocked command", 100},
		{"many", "the tool has more than 1000 connections at once", 150},
		{"headers", "the tool sent a malformed HTTP request, or none in time", 100},
		{"body", "the tool's request ended early", 500},
		{"tls", "the TLS handshake failed", 100},
		{"slow", "the tool sent a malformed HTTP request, or none in time", 150},
		{"midway", "the tool's request ended early", 150},
		{"flood", "has no mock; the nearest, http[0], differs in path: /hello", 500},
	} {
		hostile := &webClient{"hostile", "python3 /tools/hostile.py", []string{"hostile.py"}, ""}
		s.one(hostile, c.name, c.name, nil, map[string]any{
			"timeout": "10m", "expect": map[string]any{"exit_code": "any"},
			"http":     []any{map[string]any{"path": "/hello"}, map[string]any{"path": "/held", "timeout": true}},
			"commands": []any{map[string]any{"command": "deploy"}},
		})
		t.Run(c.name, func(t *testing.T) {
			r := s.run(c.name + "_test.yaml")
			t.Logf("it took %v, mayfly had at most %d MB and printed %d MB", r.took, r.peak>>10, len(r.text)>>20)
			res := r.result(t, c.name)
			said := ""
			for _, f := range res.Failures {
				said += f.Message + "\n"
			}
			if res.Status != report.Failed || !strings.Contains(said, c.failure) || len(said) > 100_000 || !strings.Contains(res.Stdout, "done "+c.name) {
				t.Errorf("%s %s: %.2000s, it printed %q %q", res.Status, res.Error, said, res.Stdout, res.Stderr)
			}
			if r.peak == 0 || r.peak>>10 > c.most {
				t.Errorf("mayfly had %d MB", r.peak>>10)
			}
		})
	}
}

// TestClientsKilled kills mayfly in the middle of a test. Nothing of the sandbox may stay, and the next test must remove the
// folder of sockets.
func TestClientsKilled(t *testing.T) {
	s := newSuites(t)
	tmp := t.TempDir()
	s.add("it", map[string]any{
		"tool": map[string]any{"name": "killed", "image": "mayfly/clients", "command": `curl -s http://no.such.example/hello; deploy; curl -s http://no.such.example/never`},
		"tests": []any{map[string]any{
			"name": "it", "http": []any{map[string]any{"path": "/hello"}, map[string]any{"path": "/never", "timeout": true}},
			"commands": []any{map[string]any{"command": "deploy"}},
		}},
	})
	before, err := testbed.Leftovers()
	if err != nil {
		t.Fatal(err)
	}
	c := s.command("--json")
	c.Env = append(c.Env, "TMPDIR="+tmp)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ours := func() []string {
		t.Helper()
		found, err := testbed.Leftovers()
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for what := range found {
			if !before[what] && !strings.HasPrefix(what, fmt.Sprintf("process %d ", c.Process.Pid)) {
				out = append(out, what)
			}
		}
		return out
	}
	deadline := time.Now().Add(testbed.Patience)
	for len(ours()) < 5 { // shim, holder, tool, cgroups, directory
		if time.Now().After(deadline) {
			t.Fatalf("the sandbox doesn't start: %q", ours())
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	for len(ours()) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("left: %q", ours())
		}
		time.Sleep(20 * time.Millisecond)
	}
	left, err := filepath.Glob(filepath.Join(tmp, "mayfly-*"))
	if err != nil || len(left) != 1 {
		t.Errorf("folders of sockets: got %q (%v), want one", left, err)
	}
	s.add("next", map[string]any{"tool": map[string]any{"name": "next", "image": "mayfly/clients", "command": "true"}, "tests": []any{map[string]any{"name": "next"}}})
	c = s.command("next_test.yaml", "--json")
	c.Env = append(c.Env, "TMPDIR="+tmp)
	if res := s.await(c).result(t, "next"); res.Status != report.Passed {
		t.Error(res.Error)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("after the next test: got %v (%v), want an empty folder", left, err)
	}
}
