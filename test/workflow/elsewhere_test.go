//go:build linux

package workflow

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mayfly-run/mayfly/internal/suite"

	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/condition/cel"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/oci"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/run/runtest"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// machine is what the process of a runner has: images, secrets, a key to seal values, and the folder of artifacts by digest
// that all runners share.
type machine struct {
	Home, Shim, Content string
	Secrets             map[string]string
	Key                 []byte
}

// machineEnv names the environment variable with a machine, as JSON. A process of the test binary that has it is the runner
// of that machine.
const machineEnv = "MAYFLY_TEST_MACHINE"

// serveRuns is the main function of a runner's process. text is the machine, as JSON.
func serveRuns(text string) error {
	var m machine
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return err
	}
	images, err := image.Open(filepath.Join(m.Home, "images"), image.Options{NoSync: true})
	if err != nil {
		return err
	}
	r := &local.Runner{
		Engine: oci.New(m.Shim, "/run/mayfly", nil), Images: images, Secrets: given(m.Secrets), Sealer: sharedKey(m.Key),
		Places: local.Places{Caches: filepath.Join(m.Home, "caches"), Content: content.Store(m.Content)},
	}
	return runtest.Serve(context.Background(), r, os.Stdin, os.Stdout)
}

type given map[string]string

func (g given) Get(_ context.Context, name string) ([]byte, error) {
	value, ok := g[name]
	if !ok {
		return nil, &secret.NotFoundError{Name: name}
	}
	return []byte(value), nil
}

// sharedKey seals values with a key that both sides have.
type sharedKey []byte

func (k sharedKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (k sharedKey) Seal(_ context.Context, data []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, data, nil), nil
}

func (k sharedKey) Unseal(_ context.Context, sealed []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, sealed, nil)
}

// startMachine starts a runner in its own process. all gets every byte that goes there and comes back.
func startMachine(t *testing.T, m machine, all io.Writer) run.Runner {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Dir, cmd.Stderr = t.TempDir(), os.Stderr
	cmd.Env = append(os.Environ(), machineEnv+"="+string(text))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // which ends the process
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return runtest.NewClient(io.TeeReader(out, all), io.MultiWriter(in, all))
}

// inTurn gives each run to the next machine in turn, and records which machine had which step.
type inTurn struct {
	machines []run.Runner

	mu  sync.Mutex
	had map[string]int // machine by step
}

func (i *inTurn) Run(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	i.mu.Lock()
	n := len(i.had) % len(i.machines)
	i.had[req.Step] = n
	i.mu.Unlock()
	return i.machines[n].Run(ctx, req, watch)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// responders answer the requests and calls of the steps, in the test's own process.
type responders struct {
	http     *httpmock.Responder
	commands *commandmock.Responder
}

func (r responders) Connection(c net.Conn) { r.http.Serve(c) }
func (r responders) Command(c net.Conn)    { r.commands.Serve(c) }

// newResponders returns responders for a web page and a command.
func newResponders(t *testing.T) (responders, *engine.Mocks) {
	t.Helper()
	suite, err := suite.Parse("x_test.yaml", []byte(`tool: x
tests:
- name: a
  http: [{url: http://api.example/greeting, body: "hello from the test\n"}]
  commands: [{command: git, stdout: "git as the test has it\n"}]
`))
	if err != nil {
		t.Fatal(err)
	}
	mocked := suite.Tests[0]
	r := responders{commands: commandmock.New(mocked.Commands)}
	if r.http, err = httpmock.New(httpmock.Options{Mocks: mocked.HTTP}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.commands.Close()
		if err := r.http.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, &engine.Mocks{
		Allow: network.Policy{Mode: network.ModeNone}, Loopback: httpmock.Loopback(mocked.HTTP), Authority: r.http.Authority(), Commands: r.commands.Commands(),
	}
}

// TestStepsRunElsewhere runs a workflow whose steps run in two other processes in turn. The processes share only content by
// digest; the workflow's folder is removed. This process answers the requests and calls of the steps. The workflow fails, and
// is resumed from its journal.
func TestStepsRunElsewhere(t *testing.T) {
	const token = "correct-horse-battery"
	flow := func(last string) string {
		return `
inputs: [{name: version, required: true}]
workflow:
- name: make
  tool:
    image: busybox
    environment: {TOKEN: /secrets/token}
    script: {file: make.sh}
    outputs: [R, PLAIN]
  inputs: {VERSION: "${inputs.version}"}
  artifacts: [{name: out}]
- name: use
  tool: {image: busybox, command: 'echo "use: $IN"; cat /in/f'}
  inputs: {IN: "${make.R}"}
  artifacts: [{name: out, from: make, path: /in}]
- name: files
  tool: {image: busybox, command: 'cat /conf/app/one.txt; cat /motd', volumes: [{name: conf, file: conf, mount_path: /conf}, {name: motd, file: motd.txt, mount_path: /motd}]}
- name: reach
  tool: {image: busybox, command: 'wget -q -O - http://api.example/greeting; git status'}
- name: items
  tool: {image: busybox, command: 'echo "item $I"; echo O=$I >> $MAYFLY_OUTPUT', outputs: [O]}
  for_each: ["0755", 1.20]
  inputs: {I: "${item}"}
- name: last
  tool: {image: busybox, command: '` + last + `'}
  inputs: {LIST: "${items.O}", IN: "${make.R}"}
  condition: '${make.PLAIN} == "1.20"'
  artifacts: [{name: out, from: make, path: /in}]
`
	}
	dir := t.TempDir()
	load := func(flowText string) *workflow.Plan {
		t.Helper()
		folder := filepath.Join(dir, "project")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"flow.yaml": flowText, "make.sh": "echo \"$TOKEN in the artifact\" > /artifacts/out/f\necho \"R=it is $TOKEN\" >> $MAYFLY_OUTPUT\necho PLAIN=$VERSION >> $MAYFLY_OUTPUT\n",
			"conf/app/one.txt": "a file of the tool's\n", "motd.txt": "welcome\n",
		} {
			path := filepath.Join(folder, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		def, err := definition.Load(filepath.Join(folder, "flow.yaml"))
		if err == nil {
			err = def.Workflow.Resolve()
		}
		if err != nil {
			t.Fatal(err)
		}
		plan := workflow.NewPlan(def.Workflow, map[string]any{"version": shape.Scalar{Text: "1.20", Value: json.Number("1.2")}})
		for _, s := range plan.Steps {
			if err := s.Uses.Tool.Pack(t.Context(), content.Store(filepath.Join(dir, "content"))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		return plan
	}

	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	var wire lockedBuffer
	runners := &inTurn{had: map[string]int{}}
	for range 2 {
		p := newProject(t, "")
		runners.machines = append(runners.machines, startMachine(t, machine{
			Home: p.home, Shim: filepath.Join(testbed.Bin(t), "mayfly-shim"), Content: filepath.Join(dir, "content"),
			Secrets: map[string]string{"token": token}, Key: key,
		}, &wire))
	}
	var mu sync.Mutex
	printed := map[string]string{}
	mocks, spec := newResponders(t)
	execute := func(plan *workflow.Plan, opts workflow.Options) *run.Result {
		t.Helper()
		opts.Mocks = mocks
		opts.Prepare = func(_ string, req *run.Request) { req.Mocks = spec }
		opts.Emit = func(e run.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Log != nil {
				printed[e.Step] += string(e.Log.Bytes())
			}
		}
		e := &workflow.Executor{Runner: runners, Conditions: &cel.Evaluator{}, Sealer: sharedKey(key)}
		result, err := e.Run(t.Context(), plan, opts)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}

	runs := workflow.Runs{Dir: filepath.Join(dir, "runs")}
	journal, err := runs.Create(workflow.Header{ID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	result := execute(load(flow(`exit 3`)), workflow.Options{ID: "r", Journal: journal, JournalSealer: sharedKey(key)})
	if result.Status != run.Failed || result.ExitCode != 3 || result.Reason != "step last failed: exit status 3" {
		t.Fatalf("%s %d: %s", result.Status, result.ExitCode, result.Reason)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	if runners.had["make"] == runners.had["use"] {
		t.Errorf("one machine had both steps: %v", runners.had)
	}

	journal, err = runs.Open("r")
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	past, err := workflow.Recall(t.Context(), "r", journal, sharedKey(key))
	if err != nil {
		t.Fatal(err)
	}
	plan := load(flow(`echo "last: $LIST"; cat /in/f; test "$IN" = "it is correct""-horse-battery"`))
	result = execute(plan, workflow.Options{ID: "r", Journal: journal, JournalSealer: sharedKey(key), States: plan.Resume(past), Resumed: true, Masked: past.Masked})
	if result.Status != run.Succeeded || !slices.ContainsFunc(result.Steps, func(s run.StepResult) bool { return s.Step == "make" && s.Resumed }) {
		t.Errorf("%s: %s", result.Status, result.Reason)
	}

	for step, want := range map[string]string{
		"files": "a file of the tool's\nwelcome\n", "reach": "hello from the test\ngit as the test has it\n",
		"use": "use: it is ***\n*** in the artifact\n", "items[0]": "item 0755\n", "items[1]": "item 1.20\n",
		"last": `last: ["0755","1.20"]` + "\n*** in the artifact\n",
	} {
		if printed[step] != want {
			t.Errorf("step %s printed %q, want %q", step, printed[step], want)
		}
	}
	if text := wire.String(); strings.Contains(text, token) {
		// The input of a later step has the secret, since its tool must get it. Nothing else may have it.
		for line := range strings.Lines(text) {
			if strings.Contains(line, token) && !strings.Contains(line, `"run":{`) {
				t.Errorf("a secret came back in %s", line)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "content", "*")); err != nil || len(left) != 2 || !strings.HasSuffix(left[0], ".tar") {
		t.Errorf("the content is %v, %v, want two tars", left, err)
	}
	journals, err := filepath.Glob(filepath.Join(dir, "runs", "r*"))
	if err != nil || len(journals) != 1 {
		t.Fatalf("the journals are %v, %v, want one", journals, err)
	}
	data, err := os.ReadFile(journals[0])
	if err != nil || len(data) == 0 || strings.Contains(string(data), token) {
		t.Errorf("the journal has the secret, or nothing (%d bytes, %v)", len(data), err)
	}
}
