//go:build linux

package runner_test

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/condition/cel"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/runner"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
	"github.com/mayfly-run/mayfly/internal/testrun"
	"github.com/mayfly-run/mayfly/internal/trace"
)

// patience is how long a test waits for what should happen at once.
const patience = 2 * time.Minute

// images has every image.
type images struct{}

func (images) Lookup(ref string) (*image.Image, error) {
	return &image.Image{Reference: ref, Digest: ref + "@sha256:0"}, nil
}

func (i images) Pull(_ context.Context, ref string, _ image.PullOptions) (*image.Image, error) {
	return i.Lookup(ref)
}

func (images) Hold(context.Context, *image.Image, string) (func() error, error) {
	return func() error { return nil }, nil
}

// site is a server with its data, and runners whose tools are Go functions.
type site struct {
	t         *testing.T
	dir       string
	programs  map[string]fake.Program
	spool     int64        // the bound of a runner's spool
	capacity  api.Capacity // of a runner
	queueSize int
	lease     time.Duration
	around    func(server.Store) server.Store // unless nil, what the server has for its database
	traces    *trace.Tracer                   // of the server
	spans     *trace.Tracer                   // of runners

	server *server.Server
	db     *sqlstore.Store
	front  *httptest.Server
	listen string // its address, which stays
	client *api.Client
	token  string
	down   func()
}

func newSite(t *testing.T, programs map[string]fake.Program) *site {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	t.Setenv("TMPDIR", t.TempDir()) // other tests look for what is left of sandboxes in the machine's
	s := &site{t: t, dir: t.TempDir(), programs: programs, spool: runner.DefaultSpoolSize}
	s.up()
	t.Cleanup(func() { s.down() })
	return s
}

// up starts the server on what is in its folder.
func (s *site) up() {
	t := s.t
	t.Helper()
	db, err := sqlstore.OpenSQLite(context.Background(), filepath.Join(s.dir, "mayfly.db"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secret.OpenKeys(filepath.Join(s.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	var used server.Store = db
	if s.around != nil {
		used = s.around(db)
	}
	s.server = server.New(server.Options{Store: used, Archive: archive.Dir(filepath.Join(s.dir, "contents")), Keys: keys, Conditions: &cel.Evaluator{}, Poll: 100 * time.Millisecond, QueueSize: s.queueSize, Lease: s.lease, Traces: s.traces})
	if s.token == "" {
		text, hash := server.NewToken()
		s.token = text
		if err := db.AddToken(context.Background(), store.Token{Hash: hash, Name: "ada", Role: server.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.server.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.db, s.front = db, httptest.NewUnstartedServer(s.server.Handler())
	if s.listen != "" {
		_ = s.front.Listener.Close()
		if s.front.Listener, err = net.Listen("tcp", s.listen); err != nil {
			t.Fatal(err)
		}
	}
	s.front.Start()
	s.listen = s.front.Listener.Addr().String()
	if s.client, err = api.NewClient(api.ClientOptions{Server: s.front.URL, Token: s.token}); err != nil {
		t.Fatal(err)
	}
	s.down = func() {
		s.server.Close()
		s.client.Close()
		s.front.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// runner starts a runner with these labels.
func (s *site) runner(name string, labels ...string) (stop func()) {
	s.t.Helper()
	return s.startRunner(name, labels, s.server.Link("default", name, name+"aaaaaaaaaaaaaaaaaaaaaaaa"))
}

func (s *site) startRunner(name string, labels []string, to runner.Server) (stop func()) {
	s.t.Helper()
	trees := content.Store(filepath.Join(s.dir, "runner-"+name))
	carry := &local.Runner{Images: images{}, Engine: &fake.Engine{Programs: s.programs}, Places: local.Places{Content: trees}}
	r, err := runner.New(runner.Options{
		Server: to, Name: name, Labels: labels, Slots: 10, Content: trees, Spool: filepath.Join(s.dir, "spool-"+name), SpoolSize: s.spool, Capacity: s.capacity, Traces: s.spans,
		Carry: func(c runner.Carriage) run.Runner {
			one := *carry
			one.Secrets, one.Sealer, one.Policy = c.Secrets, c.Sealer, c.Policy.For(c.Tool)
			return &testrun.Runner{Runner: &one}
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("runner %s: %v", name, err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

func (s *site) runnerToken() string {
	s.t.Helper()
	text, hash := server.NewToken()
	if err := s.db.AddToken(s.t.Context(), store.Token{Hash: hash, Name: "runner", Role: server.RoleRunner, Pool: "default"}); err != nil {
		s.t.Fatal(err)
	}
	return text
}

// bundle sends files, the first of which is the definition.
func (s *site) bundle(files ...string) *api.Bundle {
	s.t.Helper()
	b := &api.Bundle{Definition: files[0]}
	for i := 0; i+1 < len(files); i += 2 {
		digest := archive.Digest([]byte(files[i+1]))
		if err := s.client.PutContent(s.t.Context(), "p", digest, strings.NewReader(files[i+1])); err != nil {
			s.t.Fatal(err)
		}
		b.Files = append(b.Files, api.File{Path: files[i], Digest: digest, Size: int64(len(files[i+1]))})
	}
	return b
}

func (s *site) push(name string, files ...string) {
	s.t.Helper()
	if _, err := s.client.CreateVersion(s.t.Context(), "p", name, &api.NewVersion{Bundle: *s.bundle(files...)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) begin(n *api.NewRun) *api.Run {
	s.t.Helper()
	r, err := s.client.CreateRun(s.t.Context(), "p", n)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// follow follows a run to its end.
func (s *site) follow(id string) (events []run.Event, result *run.Result) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	err := s.client.Follow(ctx, "p", id, 0, func(e run.Event) {
		events = append(events, e)
		if e.Result != nil && e.Step == "" {
			result = e.Result
		}
	}, nil)
	if err != nil || result == nil {
		s.t.Fatalf("run %s: %v, %d events: %s", id, err, len(events), text(s.t, events))
	}
	for i, e := range events {
		if e.Seq != int64(i)+1 || e.Run != id {
			s.t.Errorf("event %d has number %d and run %s", i, e.Seq, e.Run)
		}
	}
	return events, result
}

func text(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func summary(r *run.Result) string {
	var words []string
	for _, s := range r.Steps {
		words = append(words, s.Step+"="+string(s.Status))
	}
	return strings.Join(words, " ") + fmt.Sprintf(" -> %s %d", r.Status, r.ExitCode)
}

func want(t *testing.T, r *run.Result, want string) {
	t.Helper()
	if got := summary(r); got != want {
		t.Errorf("got %s (%s), want %s", got, r.Reason, want)
	}
}

const flow = `
name: flow
inputs: [{name: who, default: world}]
workflow:
  - {name: make, tool: maker, runner: [left], inputs: {who: "${inputs.who}"}, artifacts: [{name: app}]}
  - name: each
    tool: {image: i, command: [each], args: [{name: what}], outputs: [GOT]}
    needs: [make]
    inputs: {what: "${item}"}
    for_each: [x, y]
  - {name: use, tool: ./use.yaml, runner: [right], inputs: {token: "${make.TOKEN}", each: "${each.GOT}"}, artifacts: [{name: app, from: make}]}
  - {name: never, tool: ./use.yaml, condition: "${use.status} == 'failed'", inputs: {token: t, each: e}}
finally:
  - {name: last, tool: {image: i, command: [last]}}
`

// TestWorkflow has a workflow run on two runners, with a tool of the project and one of its folder, artifacts and a secret that steps
// hand on, and a list; the secret is in nothing that the server keeps or says.
func TestWorkflow(t *testing.T) {
	const value = "correct-horse-battery"
	var used []string
	s := newSite(t, map[string]fake.Program{
		"make": func(p *fake.Process) int {
			fmt.Fprintf(p.Stdout, "hello %s, with %s\n", p.Getenv("WHO"), p.Getenv("TOKEN"))
			if err := p.WriteFile("/artifacts/app/f", []byte("made")); err != nil {
				t.Error(err)
			}
			return output(p, "TOKEN", p.Getenv("TOKEN"))
		},
		"each": func(p *fake.Process) int { return output(p, "GOT", p.Getenv("WHAT")) },
		"use": func(p *fake.Process) int {
			data, err := p.ReadFile("/artifacts/app/f")
			used = append(used, p.Getenv("TOKEN"), p.Getenv("EACH"), string(data), fmt.Sprint(err))
			fmt.Fprintln(p.Stdout, "the token is", p.Getenv("TOKEN"))
			return 0
		},
		"last": func(*fake.Process) int { return 0 },
	})
	encoded := "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"
	if _, err := s.client.SetSecret(t.Context(), "p", "token", "", &api.SetSecret{Value: &encoded}); err != nil {
		t.Fatal(err)
	}
	s.push("maker", "maker.yaml", "name: maker\nimage: i\ncommand: [make]\nargs: [{name: who}]\nenvironment: [TOKEN=/secrets/token]\noutputs: [TOKEN]\n")
	s.push("flow", "flow.yaml", flow, "use.yaml", "image: i\ncommand: [use]\nargs: [{name: token}, {name: each}]\n")
	s.runner("a", "left")
	s.runner("b", "right")
	r := s.begin(&api.NewRun{Tool: "flow", Inputs: map[string]any{"who": "team"}})
	events, result := s.follow(r.ID)
	want(t, result, "make=succeeded each=succeeded use=succeeded never=skipped last=succeeded -> succeeded 0")
	if !slices.Equal(used, []string{value, `["x","y"]`, "made", "<nil>"}) {
		t.Errorf("use had %q", used)
	}
	steps, err := s.client.Steps(t.Context(), "p", r.ID)
	if err != nil || len(steps.Steps) != 5 || len(steps.Runs) != 5 {
		t.Fatalf("%+v, %v", steps, err)
	}
	ran := map[string]string{}
	for _, one := range steps.Runs {
		ran[one.Step] = one.Runner
		if one.Parent != r.ID || one.Status != run.Succeeded {
			t.Errorf("%+v", one)
		}
		if one.Step == "make" && (one.Tool != "maker" || one.Version != 1) {
			t.Errorf("%+v", one)
		}
	}
	if ran["make"] != "a" || ran["use"] != "b" || ran["each[1]"] == "" {
		t.Errorf("the steps ran on %v", ran)
	}
	logs := map[string]string{}
	for _, e := range events {
		if e.Log != nil {
			logs[e.Step] += string(e.Log.Bytes())
		}
	}
	if logs["make"] != "hello team, with ***\n" || logs["use"] != "the token is ***\n" {
		t.Errorf("the logs are %q", logs)
	}
	one, err := s.client.Run(t.Context(), "p", r.ID)
	if err != nil || one.Status != run.Succeeded || one.Kind != "workflow" {
		t.Errorf("%+v, %v", one, err)
	}
	s.checkArtifact(r.ID)
	list, err := s.client.Runs(t.Context(), "p", api.RunFilter{})
	if err != nil || len(list.Runs) != 1 {
		t.Errorf("listed are %+v, %v", list, err)
	}
	s.nowhere(value)
}

// checkArtifact gets the artifact of a run's step.
func (s *site) checkArtifact(id string) {
	s.t.Helper()
	all, err := s.client.Artifacts(s.t.Context(), "p", id)
	if err != nil || len(all) != 1 || all[0].Name != "app" || all[0].Step != "make" {
		s.t.Fatalf("artifacts %+v, %v", all, err)
	}
	in, err := s.client.Artifact(s.t.Context(), "p", all[0].Run, "app")
	if err != nil {
		s.t.Fatal(err)
	}
	defer in.Close()
	found := false
	for files := tar.NewReader(in); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.t.Fatal(err)
		}
		data, err := io.ReadAll(files)
		found = found || err == nil && path.Base(h.Name) == "f" && string(data) == "made"
	}
	if !found {
		s.t.Error("the archive doesn't have the file")
	}
	var p *api.Problem
	if _, err := s.client.Artifact(s.t.Context(), "p", all[0].Run, "none"); !errors.As(err, &p) || p.Status != 404 || p.Detail != "there is no artifact none of run "+all[0].Run {
		s.t.Errorf("an artifact that isn't there: %v", err)
	}
	m, err := s.client.Metrics(s.t.Context(), "p", id)
	if err != nil || m.Samples == nil {
		s.t.Errorf("metrics %+v, %v", m, err)
	}
}

// nowhere checks that a value is in no file of the server and of the runners.
func (s *site) nowhere(value string) {
	s.t.Helper()
	files := 0
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), value) {
			s.t.Errorf("%s has the value", path)
		}
		files++
		return err
	})
	if err != nil || files < 3 {
		s.t.Errorf("%d files, %v", files, err)
	}
}

// output writes an output of a tool.
func output(p *fake.Process, name, value string) int {
	p.Output = append(p.Output, name+"="+value+"\n"...)
	return 0
}

// TestWorkflowSurvivesItsServer ends the server while steps run, and starts it again: each step has run once, and nothing is lost.
func TestWorkflowSurvivesItsServer(t *testing.T) {
	began, goOn := make(chan string, 10), make(chan struct{})
	var mu sync.Mutex
	ran := map[string]int{}
	s := newSite(t, map[string]fake.Program{"x": func(p *fake.Process) int {
		mu.Lock()
		ran[p.Getenv("NAME")]++
		mu.Unlock()
		began <- p.Getenv("NAME")
		select {
		case <-goOn:
		case <-p.Context.Done():
			return 1
		}
		return 0
	}})
	const x = "tool: {image: i, command: [x], args: [{name: name}]}"
	b := s.bundle("flow.yaml", "workflow:\n  - {name: a, "+x+", inputs: {name: a}}\n  - {name: b, "+x+", inputs: {name: b}}\n")
	s.viaClient("r")
	r := s.begin(&api.NewRun{Bundle: b})
	for _, step := range []string{"a", "b"} {
		if got := next(t, began); got != step {
			t.Fatalf("%s has begun, want %s", got, step)
		}
		s.down()
		goOn <- struct{}{}
		s.up()
	}
	_, result := s.follow(r.ID)
	want(t, result, "a=succeeded b=succeeded -> succeeded 0")
	if ran["a"] != 1 || ran["b"] != 1 {
		t.Errorf("they ran %v times", ran)
	}
}

// viaClient starts a runner that speaks to the server by its address, as one on another machine does, and so also after the server
// was started again.
func (s *site) viaClient(name string) {
	s.t.Helper()
	client, err := api.NewClient(api.ClientOptions{Server: s.front.URL, Token: s.runnerToken(), UserAgent: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	s.startRunner(name, nil, client.Runner(name, name+"aaaaaaaaaaaaaaaaaaaaaaaa"))
}

// cutRunner is viaClient with a connection that can break.
func (s *site) cutRunner(name string) *cut {
	s.t.Helper()
	text, hash := server.NewToken()
	if err := s.db.AddToken(s.t.Context(), store.Token{Hash: hash, Name: name, Role: server.RoleRunner, Pool: "default"}); err != nil {
		s.t.Fatal(err)
	}
	client, err := api.NewClient(api.ClientOptions{Server: s.front.URL, Token: text, UserAgent: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	c := &cut{gone: make(chan struct{}), RunnerClient: client.Runner(name, name+"aaaaaaaaaaaaaaaaaaaaaaaa")}
	s.startRunner(name, nil, c)
	return c
}

func next(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case text := <-from:
		return text
	case <-time.After(patience):
		t.Fatal("nothing comes")
		return ""
	}
}

// TestWorkflowEnds asks for the end of a workflow: what runs is ended, what waits isn't begun, and the steps of finally run.
func TestWorkflowEnds(t *testing.T) {
	began := make(chan string, 10)
	s := newSite(t, map[string]fake.Program{
		"x": func(p *fake.Process) int {
			began <- "x"
			<-p.Context.Done()
			return 1
		},
		"last": func(*fake.Process) int { began <- "last"; return 0 },
	})
	b := s.bundle("flow.yaml", `parallel_tools:
  - {name: a, tool: {image: i, command: [x]}}
  - {name: b, tool: {image: i, command: [x]}, runner: [nowhere]}
  - {name: c, tool: {image: i, command: [x]}, needs: [a]}
finally:
  - {name: last, tool: {image: i, command: [last]}}
`)
	s.runner("r")
	waitFor(t, "the runner is connected", func() bool {
		all, err := s.client.Runners(t.Context())
		return err == nil && len(all) == 1
	})
	r := s.begin(&api.NewRun{Bundle: b})
	if !strings.Contains(r.Waiting, "nowhere") {
		t.Errorf("the run says that it waits for %q", r.Waiting)
	}
	next(t, began)
	if _, err := s.client.Cancel(t.Context(), "p", r.ID); err != nil {
		t.Fatal(err)
	}
	_, result := s.follow(r.ID)
	want(t, result, "a=cancelled b=cancelled c=cancelled last=succeeded -> cancelled 130")
	if _, err := s.client.Cancel(t.Context(), "p", r.ID); err == nil {
		t.Error("a run that is over is cancelled")
	}
}

// TestWorkflowTimesOut: the deadline of a workflow is something that happens to it.
func TestWorkflowTimesOut(t *testing.T) {
	s := newSite(t, map[string]fake.Program{"x": func(p *fake.Process) int { <-p.Context.Done(); return 1 }})
	s.runner("r")
	b := s.bundle("flow.yaml", "timeout: 1s\nworkflow:\n  - {name: a, tool: {image: i, command: [x]}}\n  - {name: b, tool: {image: i, command: [x]}}\n")
	_, result := s.follow(s.begin(&api.NewRun{Bundle: b}).ID)
	want(t, result, "a=cancelled b=cancelled -> timed_out 124")
}

// TestWorkflowResumes goes on with a run that failed, and runs one again, with the version of its tool that it had.
func TestWorkflowResumes(t *testing.T) {
	var mu sync.Mutex
	status, ran := 1, []string{}
	do := func(name string, status func() int) fake.Program {
		return func(p *fake.Process) int {
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, name)
			output(p, "R", name)
			return status()
		}
	}
	s := newSite(t, map[string]fake.Program{
		"a": do("a", func() int { return 0 }), "b": do("b", func() int { return status }), "new": do("new", func() int { return 0 }),
	})
	s.push("t", "t.yaml", "name: t\nimage: i\ncommand: [a]\noutputs: [R]\n")
	s.push("flow", "flow.yaml", `workflow:
  - {name: a, tool: t}
  - {name: b, tool: {image: i, command: [b], args: [{name: r}]}, inputs: {r: "${a.R}"}}
`)
	s.runner("r")
	first := s.begin(&api.NewRun{Tool: "flow"})
	_, result := s.follow(first.ID)
	want(t, result, "a=succeeded b=failed -> failed 1")
	s.push("t", "t.yaml", "name: t\nimage: i\ncommand: [new]\noutputs: [R]\n")
	mu.Lock()
	status, ran = 0, nil
	mu.Unlock()
	resumed, err := s.client.Resume(t.Context(), "p", first.ID, &api.Selection{})
	if err != nil || resumed.Resumes != first.ID || resumed.ID == first.ID {
		t.Fatalf("%+v, %v", resumed, err)
	}
	_, result = s.follow(resumed.ID)
	want(t, result, "a=succeeded b=succeeded -> succeeded 0")
	if !result.Steps[0].Resumed || result.Steps[1].Resumed || !slices.Equal(ran, []string{"b"}) {
		t.Errorf("%v ran, %+v", ran, result.Steps)
	}
	from, err := s.client.Resume(t.Context(), "p", resumed.ID, &api.Selection{From: "a"})
	if err != nil {
		t.Fatal(err)
	}
	_, result = s.follow(from.ID)
	want(t, result, "a=succeeded b=succeeded -> succeeded 0")
	again, err := s.client.Rerun(t.Context(), "p", first.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, result = s.follow(again.ID)
	want(t, result, "a=succeeded b=succeeded -> succeeded 0")
	if !slices.Equal(ran, []string{"b", "a", "b", "a", "b"}) {
		t.Errorf("%v ran", ran)
	}
	only := s.begin(&api.NewRun{Tool: "flow", Selection: api.Selection{Only: "a"}})
	_, result = s.follow(only.ID)
	want(t, result, "a=succeeded b=skipped -> succeeded 0")
	if ran[5] != "new" {
		t.Errorf("%v ran", ran)
	}
}

// TestWorkflowRefused checks what is refused, and that the answer says where and why.
func TestWorkflowRefused(t *testing.T) {
	s := newSite(t, nil)
	s.push("t", "t.yaml", "name: t\nimage: i\ncommand: [a]\nargs: [{name: n, required: true}]\n")
	s.push("tool", "t.yaml", "name: tool\nimage: i\ncommand: [a]\n")
	s.push("flow", "flow.yaml", "workflow: [{name: a, tool: tool}]\n")
	begin := func(files ...string) error {
		_, err := s.client.CreateRun(t.Context(), "p", &api.NewRun{Bundle: s.bundle(files...)})
		return err
	}
	selected := func(sel api.Selection, tool string) error {
		_, err := s.client.CreateRun(t.Context(), "p", &api.NewRun{Tool: tool, Selection: sel})
		return err
	}
	resumed := func(id string) error {
		_, err := s.client.Resume(t.Context(), "p", id, &api.Selection{})
		return err
	}
	waits := s.begin(&api.NewRun{Tool: "flow"})
	single := s.begin(&api.NewRun{Tool: "tool"})
	for name, c := range map[string]struct {
		err         error
		code        run.Code
		place, want string
	}{
		"an unknown tool":         {begin("flow.yaml", "workflow: [{name: a, tool: nothere}]"), run.CodeInvalidDefinition, "flow.yaml:1:28", "the tool of step \"a\": neither the workflow's folder nor the project p has the tool nothere; push it first"},
		"a workflow as a tool":    {begin("flow.yaml", "workflow: [{name: a, tool: flow}]"), run.CodeInvalidDefinition, "", "flow is a workflow of the project p"},
		"a missing input":         {begin("flow.yaml", "workflow: [{name: a, tool: t}]"), run.CodeInvalidDefinition, "flow.yaml:1:12", `step "a" doesn't give the input "n"`},
		"a file outside":          {begin("flow.yaml", "workflow: [{name: a, tool: ../../etc/passwd}]"), run.CodeInvalidDefinition, "", "../../etc/passwd is outside of the workflow's folder"},
		"an absolute path":        {begin("flow.yaml", "workflow: [{name: a, tool: /etc/passwd}]"), run.CodeInvalidDefinition, "", "/etc/passwd is outside of the workflow's folder"},
		"a file that isn't there": {begin("flow.yaml", "workflow: [{name: a, tool: ./x.yaml}]"), run.CodeInvalidDefinition, "", "./x.yaml is not among the files that were sent"},
		"a wrong condition":       {begin("flow.yaml", "workflow: [{name: a, tool: tool, condition: \"1 +\"}]"), run.CodeInvalidDefinition, "flow.yaml:1:49", "the condition of step a: "},
		"a broken tool":           {begin("flow.yaml", "workflow: [{name: a, tool: ./x.yaml}]", "x.yaml", "image: i\ncomand: [x]\n"), run.CodeInvalidDefinition, "x.yaml:2:1", "unknown key "},
		"no such step":            {selected(api.Selection{Only: "b"}, "flow"), run.CodeInvalidInput, "", `the workflow has no step "b"`},
		"steps of a tool":         {selected(api.Selection{Only: "b"}, "tool"), run.CodeInvalidRequest, "", "this is a tool"},
		"resume what runs":        {resumed(waits.ID), run.CodeRunning, "", "is in progress"},
		"resume a tool":           {resumed(single.ID), run.CodeInvalidRequest, "", "is not a run of a workflow"},
		"resume nothing":          {resumed("01a22a22-004a-7380-ab29-239a12391d3d"), run.CodeNoSuchThing, "", "there is no run"},
	} {
		t.Run(name, func(t *testing.T) {
			var p *api.Problem
			if !errors.As(c.err, &p) {
				t.Fatalf("got %v", c.err)
			}
			place := ""
			if len(p.Errors) > 0 {
				place = p.Errors[0].Where
			}
			if all := text(t, p); c.place != "" && place != c.place || p.Reason != c.code || !strings.Contains(all, strings.Trim(text(t, c.want), `"`)) || p.Status >= 500 || strings.Contains(all, os.TempDir()) {
				t.Errorf("got %s, want %s and %q", all, c.code, c.want)
			}
		})
	}
}

// TestSecretIsTakenBack limits a secret to another tool after a run was accepted: a step that begins then doesn't get it.
func TestSecretIsTakenBack(t *testing.T) {
	began, goOn := make(chan string, 1), make(chan struct{})
	used := make(chan string, 1)
	s := newSite(t, map[string]fake.Program{
		"wait": func(*fake.Process) int { began <- "wait"; <-goOn; return 0 },
		"use":  func(p *fake.Process) int { used <- p.Getenv("TOKEN"); return 0 },
	})
	value := "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"
	if _, err := s.client.SetSecret(t.Context(), "p", "token", "", &api.SetSecret{Value: &value}); err != nil {
		t.Fatal(err)
	}
	s.push("flow", "flow.yaml", `workflow:
  - {name: wait, tool: {image: i, command: [wait]}}
  - {name: use, tool: {image: i, command: [use], environment: [TOKEN=/secrets/token]}}
`)
	s.runner("r")
	r := s.begin(&api.NewRun{Tool: "flow"})
	next(t, began)
	if _, err := s.client.SetSecret(t.Context(), "p", "token", "", &api.SetSecret{Tools: &[]string{"other"}}); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	_, result := s.follow(r.ID)
	want(t, result, "wait=succeeded use=error -> error 125")
	if len(used) > 0 || !strings.Contains(result.Reason, "the tool may not use the secret token any longer") {
		t.Errorf("%q, and the tool had %d secrets", result.Reason, len(used))
	}
}

// TestHostileBundles: what comes from elsewhere is bounded, and says nothing of this machine.
func TestHostileBundles(t *testing.T) {
	s := newSite(t, map[string]fake.Program{"x": func(*fake.Process) int { return 0 }})
	check := func(text string, files ...string) (*api.Version, error) {
		return s.client.CreateVersion(t.Context(), "p", "t", &api.NewVersion{Bundle: *s.bundle(append([]string{"t.yaml", text}, files...)...)})
	}
	const good = "image: i\ncommand: [x]\n"
	var p *api.Problem
	if _, err := check(good, strings.Repeat("d/", 33)+"f", "x"); !errors.As(err, &p) || p.Status != 422 || !strings.Contains(p.Detail, "in more than 32 folders") {
		t.Errorf("a deep file: %v", err)
	}
	b := s.bundle("t.yaml", good)
	b.Definition = "."
	if _, err := s.client.CreateVersion(t.Context(), "p", "t", &api.NewVersion{Bundle: *b}); !errors.As(err, &p) || p.Status != 422 {
		t.Errorf("a folder as the definition: %v", err)
	}
	outside, err := filepath.Rel(filepath.Join(os.TempDir(), "mayfly-tmp", "tool"), "/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	v, err := check("image: i\nscript: " + outside + "\n")
	if err != nil || len(v.Warnings) > 0 {
		t.Errorf("a script that is a path of this machine: %+v, %v", v, err)
	}
	v, err = check("image: i\nscript: run.sh\n", "run.sh", "echo")
	if err != nil || len(v.Warnings) != 1 || v.Warnings[0].Where != "t.yaml:2:9" || strings.Contains(text(t, v), os.TempDir()) {
		t.Errorf("a warning: %s, %v", text(t, v), err)
	}
	s.push("numbers", "t.yaml", good)
	if _, err := s.client.CreateRun(t.Context(), "p", &api.NewRun{Tool: "numbers", Inputs: map[string]any{"a": []any{1, map[string]any{"b": 2.5}}}}); err != nil {
		t.Errorf("numbers in a list: %v", err)
	}
}
