//go:build linux

// Package workflow tests workflows through the whole program: kills, attacks, runners in other processes, and many items.
package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(machineEnv); text != "" { // a runner's process, of TestStepsRunElsewhere
		if err := serveRuns(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testbed.Main(m)
}

// project is a folder with a workflow, and a Mayfly home with the image busybox.
type project struct {
	t         *testing.T
	dir, home string
}

func newProject(t *testing.T, workflow string) *project {
	t.Helper()
	p := &project{t: t, dir: t.TempDir(), home: filepath.Join(t.TempDir(), "home")}
	store, err := image.Open(filepath.Join(p.home, "images"), image.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	archive := imagetest.DockerArchive(t, "busybox:latest", imagetest.Config{Env: []string{"PATH=/bin"}}, imagetest.BusyboxLayer(t))
	if _, err := store.Load(t.Context(), bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "flow.yaml"), []byte(workflow), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// mayfly returns the command, in the project's folder. It doesn't have the test's context, which would kill it.
func (p *project) mayfly(args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(testbed.Bin(p.t), "mayfly"), args...)
	c.Dir = p.dir
	c.Env = append(os.Environ(), "MAYFLY_HOME="+p.home)
	return c
}

// latest returns the id of the run that began last, or "" if there is none.
func (p *project) latest() string {
	p.t.Helper()
	out, err := p.mayfly("runs", "--json").Output()
	if err != nil {
		p.t.Fatal(err)
	}
	var runs []struct{ ID string }
	if err := json.Unmarshal(out, &runs); err != nil {
		p.t.Fatal(err)
	}
	if len(runs) == 0 {
		return ""
	}
	return runs[0].ID
}

// twenty returns a workflow of twenty steps: a chain by outputs, parallel steps, items, an artifact and a finally.
func twenty() string {
	var b strings.Builder
	b.WriteString("workflow:\n")
	b.WriteString("- {name: s0, needs: [], tool: {image: busybox, command: 'echo N=1 > $MAYFLY_OUTPUT; echo x > /artifacts/a/x'}, outputs: [N], artifacts: [{name: a}]}\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "- {name: s%d, tool: {image: busybox, command: 'echo N=$((N+1)) > $MAYFLY_OUTPUT'}, outputs: [N], inputs: {N: '${s%d.N}'}}\n", i, i-1)
	}
	for i := 9; i < 17; i++ {
		fmt.Fprintf(&b, "- {name: s%d, needs: [s%d], tool: {image: busybox, command: 'true'}}\n", i, i-9)
	}
	b.WriteString("- {name: s17, needs: [s2], tool: {image: busybox, command: 'true'}, for_each: [a, b, c], max_parallel: 2}\n")
	b.WriteString("- {name: s18, tool: {image: busybox, command: 'test \"$N\" = 9 && cat /artifacts/a/x'}, inputs: {N: '${s8.N}'}, artifacts: [{name: a, from: s0}]}\n")
	b.WriteString("finally:\n- {name: s19, tool: {image: busybox, command: 'true'}}\n")
	return b.String()
}

// TestKilledAtAnyMoment kills mayfly with SIGKILL at random moments of a workflow of twenty steps, and again while the run is
// resumed. When it is resumed once more, the run must succeed. Each step must have succeeded once, and nothing may be left.
func TestKilledAtAnyMoment(t *testing.T) {
	moments := 12
	if os.Getenv("MAYFLY_TEST_FULL") != "" {
		moments = 100
	}
	p := newProject(t, twenty())
	before, err := testbed.Leftovers()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if out, err := p.mayfly("run", "-q", "flow.yaml").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole := time.Since(begin)
	interrupted := 0
	for k := range moments {
		known := p.latest()
		if p.killAfter(time.Duration(rand.Int64N(int64(whole))), "run", "-q", "flow.yaml") {
			interrupted++
		}
		id := p.latest()
		if id == known {
			continue // it was killed before it began
		}
		p.killAfter(time.Duration(rand.Int64N(int64(whole))), "run", "-q", "--resume", id)
		if out, err := p.mayfly("run", "-q", "--resume", id).CombinedOutput(); err != nil {
			t.Fatalf("kill %d: the run can't be resumed: %v\n%s", k, err, out)
		}
		p.checkOnce(id)
	}
	if interrupted == 0 { // if the machine has become faster meanwhile, most kills come after the end
		t.Errorf("none of %d kills came before the end", moments)
	}
	p.leftNothing(before)
	t.Logf("%d kills, %d before the end of a run of %v", moments, interrupted, whole)
}

// killAfter runs the command, and kills it after d. It reports whether the command was still running.
func (p *project) killAfter(d time.Duration, args ...string) bool {
	p.t.Helper()
	c := p.mayfly(args...)
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	kill := time.AfterFunc(d, func() { _ = c.Process.Kill() })
	defer kill.Stop()
	_ = c.Wait()
	status, ok := c.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// checkOnce checks that, by the journal, each step succeeded exactly once.
func (p *project) checkOnce(id string) {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.home, "runs", id+".jsonl"))
	if err != nil {
		p.t.Fatal(err)
	}
	succeeded := map[string]int{}
	for line := range strings.Lines(string(data)) {
		var e struct {
			Type, Step, Status string
			Item               *int
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			p.t.Fatalf("%q: %v", line, err)
		}
		if e.Type == "step" && e.Status == "succeeded" {
			name := e.Step
			if e.Item != nil {
				name += fmt.Sprintf("[%d]", *e.Item)
			}
			succeeded[name]++
		}
	}
	for i := range 20 {
		if name := fmt.Sprintf("s%d", i); succeeded[name] != 1 {
			p.t.Errorf("step %s succeeded %d times in\n%s", name, succeeded[name], data)
		}
	}
	if len(succeeded) != 23 {
		p.t.Errorf("%d steps and items succeeded in\n%s", len(succeeded), data)
	}
}

// leftNothing checks that nothing is left on the host that wasn't there before, and no artifact. It waits for the shims to
// notice that their mayfly was killed.
func (p *project) leftNothing(before map[string]bool) {
	p.t.Helper()
	var left []string
	for end := time.Now().Add(testbed.Patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		after, err := testbed.Leftovers()
		if err != nil {
			p.t.Fatal(err)
		}
		left = nil
		for what := range after {
			if !before[what] {
				left = append(left, what)
			}
		}
		if len(left) == 0 {
			break
		}
	}
	for _, what := range left {
		p.t.Error("left behind: " + what)
	}
	if dirs, err := filepath.Glob(filepath.Join(p.home, "runs", "*.artifacts")); err != nil || len(dirs) > 0 {
		p.t.Errorf("artifacts are left: %v, %v", dirs, err)
	}
}
