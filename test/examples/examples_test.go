//go:build linux

// Package examples runs the examples as their comments say.
package examples

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// site is a server like examples/site.py: it keeps what it gets by PUT.
type site struct {
	mu   sync.Mutex
	kept map[string]string
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch body, ok := s.kept[r.URL.Path]; {
	case r.Method == http.MethodPut:
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.kept[r.URL.Path] = string(data)
		w.WriteHeader(http.StatusCreated)
	case strings.HasSuffix(r.URL.Path, "/health"):
		_, _ = w.Write([]byte(`{"status": "healthy"}`))
	case ok:
		_, _ = w.Write([]byte(body))
	default:
		http.NotFound(w, r)
	}
}

func (s *site) get(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[path]
}

// mayfly returns a function that runs the command in the folder of the examples, with the base images.
func mayfly(t *testing.T) func(args ...string) (out string, status int) {
	t.Helper()
	home := t.TempDir()
	run := func(args ...string) (string, int) {
		t.Helper()
		c := exec.CommandContext(t.Context(), filepath.Join(testbed.Bin(t), "mayfly"), args...)
		c.Dir = filepath.Join(testbed.Root(), "examples")
		c.Env = append(os.Environ(), "MAYFLY_HOME="+home)
		out, err := c.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), c.ProcessState.ExitCode()
	}
	for _, name := range []string{"shell", "python"} {
		if out, status := run("image", "load", filepath.Join(testbed.Root(), ".build", "images", name+".tar")); status != 0 {
			t.Fatalf("%s; build it with images/build.sh", out)
		}
	}
	return run
}

func TestExamples(t *testing.T) {
	run := mayfly(t)
	s := &site{kept: map[string]string{"/current": "7"}}
	server := httptest.NewServer(s)
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	target := "http://host.mayfly.internal:" + port
	tests := []struct {
		name   string
		args   []string
		status int
		want   []string
		site   map[string]string
	}{
		{
			"release",
			[]string{"build-test-deploy/release.yaml", "--arg", "version=1.2", "--arg", "target=" + target},
			0,
			[]string{"it says: hello mayfly, from 1.2", "deployed greeter:1.2"},
			map[string]string{"/current": "greeter:1.2"},
		},
		{
			"health checks",
			[]string{"parallel-health-checks/parallel-health-checks.yaml", "--env", "SITE=" + target},
			0,
			[]string{"production is healthy", "staging is healthy", "development is healthy"},
			nil,
		},
		{
			"matrix",
			[]string{"matrix/matrix.yaml"},
			0,
			[]string{"5 combinations: sh/1=1, sh/10=55, bash/1=1, bash/10=55, bash/100=5050"},
			nil,
		},
		{
			"a good version",
			[]string{"rollback/rollback.yaml", "--arg", "version=8", "--arg", "site=" + target},
			0,
			[]string{"verify succeeded; the site has 8"},
			map[string]string{"/current": "8"},
		},
		{
			"a bad version",
			[]string{"rollback/rollback.yaml", "--arg", "version=11", "--arg", "site=" + target},
			1,
			[]string{"version 11 is not what we want", "back to 8", "verify failed; the site has 8"},
			map[string]string{"/current": "8"},
		},
	}
	for _, test := range tests {
		out, status := run(append([]string{"run"}, test.args...)...)
		if status != test.status {
			t.Errorf("%s: exit status %d, want %d\n%s", test.name, status, test.status, out)
		}
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", test.name, want, out)
			}
		}
		for path, want := range test.site {
			if got := s.get(path); got != want {
				t.Errorf("%s: the site has %q at %s, want %q", test.name, got, path, want)
			}
		}
	}
	if s.get("/releases/greeter:1.2")[:2] != "#!" {
		t.Errorf("the release on the site is %.40q", s.get("/releases/greeter:1.2"))
	}
}

// TestTestsOfExamples checks that every example is valid and passes its own tests, which need no site.
func TestTestsOfExamples(t *testing.T) {
	run := mayfly(t)
	files, err := filepath.Glob(filepath.Join(testbed.Root(), "examples", "*", "*.yaml"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	if out, status := run(append([]string{"validate"}, files...)...); status != 0 {
		t.Errorf("%s", out)
	}
	out, status := run("test", ".")
	if status != 0 || !strings.Contains(out, "passed") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}
