//go:build linux

package mocks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// home returns a Mayfly home with the images of the clients, for all tests of this package.
var home = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mocks-home-")
	if err != nil {
		return "", err
	}
	homes = dir
	store, err := image.Open(filepath.Join(dir, "images"), image.Options{NoSync: true})
	if err != nil {
		return "", err
	}
	for _, name := range []string{"clients", "java", "kubectl"} {
		if err := load(store, name); err != nil {
			return "", err
		}
	}
	return dir, nil
})

func load(store *image.Store, name string) error {
	archive, err := os.Open(filepath.Join(testbed.Root(), ".build", "images", name+".tar"))
	if err != nil {
		return fmt.Errorf("%w; build it with: images/build.sh %s", err, name)
	}
	defer archive.Close()
	_, err = store.Load(context.Background(), archive)
	return err
}

// homes is the folder that removeHome removes after the tests.
var homes string

func removeHome() {
	if homes != "" {
		_ = os.RemoveAll(homes)
	}
}

// suites is a folder of test files that `mayfly test` runs.
type suites struct {
	t    *testing.T
	dir  string
	home string
}

func newSuites(t *testing.T) *suites {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests make real sandboxes: run them as root")
	}
	h, err := home()
	if err != nil {
		t.Fatal(err)
	}
	s := &suites{t: t, dir: t.TempDir(), home: h}
	own, err := filepath.Glob("testdata/clients/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range own {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s.write(filepath.Base(file), string(text))
	}
	return s
}

func (s *suites) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// add writes a test file as JSON, which is YAML too.
func (s *suites) add(name string, suite map[string]any) {
	s.t.Helper()
	text, err := json.MarshalIndent(suite, "", " ")
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+"_test.yaml", string(text))
}

// command returns `mayfly test` with arguments, in the folder.
func (s *suites) command(args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(testbed.Bin(s.t), "mayfly"), append([]string{"test"}, args...)...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "MAYFLY_HOME="+s.home, "MAYFLY_POLICY="+testbed.EmptyPolicy(s.t, s.home))
	return c
}

// ran is the outcome of `mayfly test`: the results by the tests' names, the most memory that the process had, in kB, all of
// its output, and how long it took.
type ran struct {
	results map[string]*report.Result
	peak    int
	text    string
	took    time.Duration
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// run runs tests to their end.
func (s *suites) run(args ...string) *ran {
	s.t.Helper()
	return s.await(s.command(append(args, "--json")...))
}

func (s *suites) await(c *exec.Cmd) *ran {
	s.t.Helper()
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	begin := time.Now()
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Wait() // the results say more than the exit status
	}()
	r := &ran{results: map[string]*report.Result{}}
	limit := time.After(2 * testbed.Patience)
wait:
	for {
		select {
		case <-ended:
			break wait
		case <-limit:
			_ = c.Process.Kill()
			s.t.Fatalf("mayfly test doesn't end: %s%s", out.String(), errOut.String())
		case <-time.After(20 * time.Millisecond):
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid)); err == nil {
				if m := highWater.FindSubmatch(text); m != nil {
					r.peak, _ = strconv.Atoi(string(m[1]))
				}
			}
		}
	}
	r.took, r.text = time.Since(begin), out.String()+errOut.String()
	for line := range strings.Lines(out.String()) {
		var res report.Result
		if err := json.Unmarshal([]byte(line), &res); err == nil && res.Type == "test" {
			r.results[res.Name] = &res
		}
	}
	if errOut.Len() > 0 {
		s.t.Logf("mayfly test: %.2000s", errOut.String())
	}
	return r
}

// result returns the result of one test. If there is none, it fails the test.
func (r *ran) result(t *testing.T, name string) *report.Result {
	t.Helper()
	res := r.results[name]
	if res == nil {
		t.Fatalf("no result of %s: %.3000s", name, r.text)
	}
	return res
}

// outcomes returns the outcome of each feature, from the lines that a client printed.
func outcomes(res *report.Result) map[string]string {
	return result{stdout: res.Stdout}.lines()
}
