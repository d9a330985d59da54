// Package enginetest is the conformance suite for engines: tests of the promises
// of package engine, which every engine passes, including the fake.
package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// Harness is an engine under test.
type Harness struct {
	Engine engine.Engine
	// Image contains the commands that the programs use.
	Image    engine.Image
	Unpacked engine.Unpacked
	// Runtime is the Security.Runtime under test; empty means the engine's own.
	Runtime string
	// OwnProcesses is the number of the runtime's own processes and threads, which count towards the tool's limit.
	OwnProcesses int64
	// MostOpenFiles is the host's limit, if it is less than engine.MostOpenFiles.
	MostOpenFiles int64
	// Args returns the command line of a program with its argument.
	Args func(p Program, argument string) []string
}

// Shell is the Args function for an engine that executes images.
func Shell(p Program, argument string) []string {
	return []string{"sh", "-c", p.Shell, p.Name, argument}
}

// startTime bounds one start or end of a sandbox in the suite.
const startTime = 2 * time.Minute

var serial struct {
	sync.Mutex
	n int
}

// Spec returns a spec of a program with small limits and no network. Each spec
// names the harness's runtime.
func (h *Harness) Spec(p Program, argument string) *engine.Spec {
	serial.Lock()
	serial.n++
	id := fmt.Sprintf("conformance-%d-%d", time.Now().UnixNano(), serial.n)
	serial.Unlock()
	return &engine.Spec{
		ID: id, Image: h.Image, Args: h.Args(p, argument),
		Resources: engine.Resources{CPU: 1000, Memory: 256 << 20, Disk: 64 << 20, PIDs: 64 + h.OwnProcesses},
		Security:  engine.Security{Runtime: h.Runtime},
		Network:   network.Policy{Mode: network.ModeNone},
	}
}

// Start starts a spec that needs nothing of this host except the image and secrets.
func (h *Harness) Start(ctx context.Context, spec *engine.Spec, secrets engine.Secrets, streams engine.Streams) (engine.Sandbox, error) {
	return h.Engine.Start(ctx, spec, engine.Local{Image: h.Unpacked, Secrets: secrets}, streams)
}

// startOrSkip starts a spec. If the engine's capabilities leave out what the spec asks for, and the engine refuses it with a complete
// engine.Unsupported, it skips the test: the suite can ask no more of such an engine.
func (h *Harness) startOrSkip(t *testing.T, spec *engine.Spec, local engine.Local, streams engine.Streams) engine.Sandbox {
	t.Helper()
	s, err := h.Engine.Start(t.Context(), spec, local, streams)
	// Another runtime has no mocks and no terminal. The capabilities don't say so: they are those of the engine's own.
	refusable := h.Runtime != "" && (spec.Mocks != nil || spec.Terminal)
	if can := h.Engine.Capabilities(); (refusable || can.Check(spec) != nil) && refused(t, err) {
		t.Skipf("not of this engine: %v", err)
	}
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return s
}

// ran is a run of the suite that has ended.
type ran struct {
	exit           engine.Exit
	stdout, stderr string
}

// run runs a spec that needs nothing of this host except the image and secrets.
func (h *Harness) run(t *testing.T, spec *engine.Spec, secrets engine.Secrets, stdin io.Reader) ran {
	t.Helper()
	return h.runWith(t, spec, engine.Local{Image: h.Unpacked, Secrets: secrets}, stdin)
}

// runWith runs a spec to its end.
func (h *Harness) runWith(t *testing.T, spec *engine.Spec, local engine.Local, stdin io.Reader) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	s := h.startOrSkip(t, spec, local, engine.Streams{Stdin: stdin, Stdout: &out, Stderr: &errOut})
	exit, err := wait(t, s)
	if err != nil {
		t.Fatalf("wait: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	return ran{exit, out.String(), errOut.String()}
}

// wait receives events until the sandbox ends, and fails the test if it doesn't end within startTime.
func wait(t *testing.T, s engine.Sandbox) (engine.Exit, error) {
	t.Helper()
	type end struct {
		exit engine.Exit
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		for range s.Events() {
		}
		exit, err := s.Wait()
		ended <- end{exit, err}
	}()
	select {
	case e := <-ended:
		return e.exit, e.err
	case <-time.After(startTime):
		t.Fatal("the sandbox doesn't end")
		return engine.Exit{}, nil
	}
}

// conformance is a test of the suite. fields are the fields whose effect it shows, separated by spaces and named as in [Fields].
// A field that several tests need, such as Mount.Target, is listed at one of them.
type conformance struct {
	name   string
	test   func(*testing.T, *Harness)
	fields string
}

// suite returns all tests.
func suite() []conformance {
	return []conformance{
		{"exit status", testExitStatus, "Args Network.Mode Local.Image"},
		{"image", testImage, "Image.Reference Image.Digest"},
		{"streams", testStreams, ""},
		{"input", testInput, ""},
		{"much output arrives completely", testFlood, ""},
		{"signals", testSignals, ""},
		{"a tool that ignores TERM", testStubborn, ""},
		{"background processes end with the tool", testLeaveBehind, ""},
		{"close of a running sandbox", testClose, ""},
		{"an abandoned start", testAbandoned, ""},
		{"command errors", testCommandErrors, ""},
		{"environment and secrets", testEnvironment, "Environment.Name Environment.Value Environment.Secret Local.Secrets"},
		{"user", testUser, "User"},
		{"secret files", testSecretFile, "Mounts.Secret"},
		{"content files", testContentFile, "Mounts.Kind Mounts.Target Mounts.Content Mounts.Executable"},
		{"files of the tool", testFiles, "Mounts.Folder Mounts.Path Local.Folders"},
		{"scratch volumes", testScratch, "Mounts.Size"},
		{"caches", testCache, ""},
		{"artifacts", testArtifacts, ""},
		{"writable folders", testWritable, "Volumes Security.Writable"},
		{"outputs", testOutputs, "MaxOutputBytes"},
		{"working directory", testWorkingDir, "WorkingDir"},
		{"text that isn't UTF-8, and meaningless rules", testInvalid, ""},
		{"missing values of the host", testLacking, ""},
		{"capabilities", testCapabilities, "Security.Capabilities"},
		{"unsupported", testUnsupported, "Security.Runtime"},
		{"processor", testProcessor, "Resources.CPU"},
		{"memory", testMemory, "Resources.Memory"},
		{"disk", testDisk, "Resources.Disk"},
		{"processes", testProcesses, "Resources.PIDs"},
		{"open files", testOpenFiles, "Resources.NoFile Resources.MostNoFile"},
		{"bandwidth", testBandwidth, "Resources.Bandwidth"},
		{"egress", testEgress, "Network.Egress"},
		{"terminal", testTerminal, "Terminal Columns Rows"},
		{"mocks", testMocks, "Mocks.Allow Mocks.Loopback Mocks.Commands Local.Connections Local.Commands"},
		{"a test's authority", testAuthority, "Mocks.Authority"},
		{"times and usage", testTimes, ""},
		{"kept after a failure, looked into, and removed", testKept, "KeepFor"},
		{"an id is used once at a time", testSameID, "ID"},
		{"many at once", testMany, ""},
	}
}

// Run runs the suite.
func Run(t *testing.T, newHarness func(t *testing.T) *Harness) {
	for _, c := range suite() {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t)
			seen := &watched{Engine: h.Engine, t: t, set: map[string]bool{}}
			h.Engine = seen
			c.test(t, h)
			for _, field := range strings.Fields(c.fields) {
				if !seen.has(field) {
					t.Errorf("this test lists %s, but starts no spec that sets it", field)
				}
			}
		})
	}
	t.Run("each field has a test", func(t *testing.T) {
		shown := map[string]bool{}
		for _, c := range suite() {
			for _, field := range strings.Fields(c.fields) {
				shown[field] = true
			}
		}
		for _, field := range Fields() {
			if !shown[field] {
				t.Errorf("%s: no test of the suite lists it", field)
			}
		}
	})
}

func testExitStatus(t *testing.T, h *Harness) {
	for _, code := range []int{0, 1, 42, 255} {
		if r := h.run(t, h.Spec(Exit, fmt.Sprint(code)), nil, nil); r.exit.Code != code || r.exit.Signal != 0 {
			t.Errorf("got %+v, want exit status %d", r.exit, code)
		}
	}
}

func testStreams(t *testing.T, h *Harness) {
	const text = "a\r\n\t\x01€"
	if r := h.run(t, h.Spec(Print, text), nil, nil); r.stdout != text || r.stderr != text {
		t.Errorf("stdout %q and stderr %q, want %q on both", r.stdout, r.stderr, text)
	}
	// Without writers the output is discarded and the tool doesn't block.
	s, err := h.Start(t.Context(), h.Spec(Flood, "1000000"), nil, engine.Streams{})
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := wait(t, s); err != nil || exit.Code != 0 {
		t.Errorf("without writers: %+v, %v", exit, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func testInput(t *testing.T, h *Harness) {
	const text = "line\x00\xff without end"
	if r := h.run(t, h.Spec(Copy, ""), nil, strings.NewReader(text)); r.stdout != text {
		t.Errorf("copied stdin: got %q, want %q", r.stdout, text)
	}
	if r := h.run(t, h.Spec(Copy, ""), nil, nil); r.stdout != "" {
		t.Errorf("copied stdin: got %q, want an empty one", r.stdout)
	}
}

func testFlood(t *testing.T, h *Harness) {
	const size = 8 << 20
	if r := h.run(t, h.Spec(Flood, fmt.Sprint(size)), nil, nil); len(r.stdout) != size {
		t.Errorf("got %d bytes before Wait returned, want %d", len(r.stdout), size)
	}
}

func testSignals(t *testing.T, h *Harness) {
	for _, sig := range []engine.Signal{engine.SIGTERM, engine.SIGKILL} {
		s, err := h.Start(t.Context(), h.Spec(Sleep, ""), nil, engine.Streams{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Signal(sig); err != nil {
			t.Errorf("signal %d: %v", sig, err)
		}
		exit, err := wait(t, s)
		if err != nil || exit.Code != engine.ExitSignal(sig) || exit.Signal != sig {
			t.Errorf("after signal %d: %+v, %v", sig, exit, err)
		}
		if err := s.Signal(sig); err != nil {
			t.Errorf("signal %d after the end: %v", sig, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func testStubborn(t *testing.T, h *Harness) {
	ready := newSignalWriter()
	s, err := h.Start(t.Context(), h.Spec(Stubborn, ""), nil, engine.Streams{Stdout: ready})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ready.wait(t)
	if err := s.Signal(engine.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		for range s.Events() {
		}
	}()
	go func() {
		defer close(ended)
		_, _ = s.Wait() // another goroutine receives the events, so that only Wait itself can wait
	}()
	select {
	case <-ended:
		t.Fatal("the tool ended at TERM, which it ignores")
	case <-time.After(300 * time.Millisecond):
	}
	if err := s.Signal(engine.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(startTime):
		t.Fatal("the tool doesn't end at KILL")
	}
	if exit, err := s.Wait(); err != nil || exit.Code != engine.ExitSignal(engine.SIGKILL) {
		t.Errorf("a second Wait: %+v, %v", exit, err)
	}
}

func testLeaveBehind(t *testing.T, h *Harness) {
	begin := time.Now()
	r := h.run(t, h.Spec(LeaveBehind, ""), nil, nil)
	if r.exit.Code != 0 || r.stdout != "started\n" {
		t.Errorf("%+v", r)
	}
	if d := time.Since(begin); d > startTime/2 {
		t.Errorf("it took %v: Wait waited for a process that the tool left behind", d)
	}
}

func testClose(t *testing.T, h *Harness) {
	s, err := h.Start(t.Context(), h.Spec(Sleep, ""), nil, engine.Streams{Stdin: neverReader{}})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 2)
	for range 2 { // at the same time, while nobody receives events
		go func() { closed <- s.Close() }()
	}
	for range 2 {
		select {
		case err := <-closed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(startTime):
			t.Fatal("Close doesn't return")
		}
	}
	if _, err := wait(t, s); err == nil {
		// Both are right: the tool's end by KILL, and ErrLost.
		return
	} else if !errors.Is(err, engine.ErrLost) {
		t.Errorf("Wait after Close: %v", err)
	}
}

func testAbandoned(t *testing.T, h *Harness) {
	cause := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	s, err := h.Start(ctx, h.Spec(Sleep, ""), nil, engine.Streams{})
	if s != nil || !errors.Is(err, cause) {
		t.Fatalf("Start with a cancelled context: %v, %v", s, err)
	}
	// Cancel at different moments of the start.
	for i := range 10 {
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(time.Duration(i)*4*time.Millisecond, func() { cancel(cause) })
		s, err := h.Start(ctx, h.Spec(Sleep, ""), nil, engine.Streams{})
		timer.Stop()
		cancel(nil)
		switch {
		case err == nil:
			// The start was faster; the sandbox no longer depends on ctx.
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		case !errors.Is(err, cause):
			t.Errorf("abandoned after %d ms: %v", i*4, err)
		}
	}
}

func testCommandErrors(t *testing.T, h *Harness) {
	for _, c := range []struct {
		args     []string
		notFound bool
	}{{[]string{"no-such-command"}, true}, {[]string{"/no/such/command"}, true}, {[]string{"/etc"}, false}} {
		spec := h.Spec(Exit, "0")
		spec.Args = c.args
		s, err := h.Start(t.Context(), spec, nil, engine.Streams{})
		if err == nil {
			_ = s.Close()
		}
		var ce *engine.CommandError
		if !errors.As(err, &ce) || ce.NotFound != c.notFound || ce.Path != c.args[0] {
			t.Errorf("%q: got %#v, want a CommandError", c.args, err)
		}
	}
}

func testEnvironment(t *testing.T, h *Harness) {
	const value = "a b\n\"$(c)\" '${d}'"
	secrets := engine.Secrets{"token": []byte("s3cret value"), "line": []byte("one\ntwo\n\n"), "windows": []byte("line\r\n")}
	for name, want := range map[string]string{"PLAIN": value, "TOKEN": "s3cret value", "LINE": "one\ntwo\n", "WINDOWS": "line"} {
		spec := h.Spec(ShowVariable, name)
		spec.Environment = []engine.Variable{{Name: "PLAIN", Value: value}, {Name: "TOKEN", Secret: "token"}, {Name: "LINE", Secret: "line"}, {Name: "WINDOWS", Secret: "windows"}}
		if r := h.run(t, spec, secrets, nil); r.stdout != want {
			t.Errorf("%s is %q, want %q", name, r.stdout, want)
		}
	}
	for _, name := range []string{"PATH", "HOME", "HOSTNAME"} {
		if r := h.run(t, h.Spec(ShowVariable, name), nil, nil); r.stdout == "" {
			t.Errorf("%s is not set", name)
		}
	}
}

func testSecretFile(t *testing.T, h *Harness) {
	spec := h.Spec(ShowFile, "/secrets/token")
	spec.Mounts = []engine.Mount{{Kind: engine.MountSecret, Target: "/secrets/token", Secret: "token"}}
	value := "binary\x00\xff value\n"
	if r := h.run(t, spec, engine.Secrets{"token": []byte(value)}, nil); r.stdout != value {
		t.Errorf("the secret's file: got %q, want %q", r.stdout, value)
	}
	spec = h.Spec(ShowFile, "/secrets/token")
	spec.Mounts = []engine.Mount{{Kind: engine.MountSecret, Target: "/secrets/token", Secret: "token"}}
	s, err := h.Start(t.Context(), spec, nil, engine.Streams{})
	if err == nil {
		_ = s.Close()
		t.Error("a tool without a value for its secret starts")
	}
}

func testOutputs(t *testing.T, h *Harness) {
	spec := h.Spec(WriteOutput, "A=b\n")
	spec.MaxOutputBytes = 100
	if r := h.run(t, spec, nil, nil); string(r.exit.Output) != "A=b\n" || r.exit.OutputTruncated {
		t.Errorf("got output %q, truncated %v, want all of it", r.exit.Output, r.exit.OutputTruncated)
	}
	spec = h.Spec(WriteOutput, "0123456789")
	spec.MaxOutputBytes = 4
	if r := h.run(t, spec, nil, nil); string(r.exit.Output) != "0123" || !r.exit.OutputTruncated {
		t.Errorf("got output %q, truncated %v, want its first 4 bytes", r.exit.Output, r.exit.OutputTruncated)
	}
}

func testWorkingDir(t *testing.T, h *Harness) {
	spec := h.Spec(WorkingDir, "")
	spec.WorkingDir = "/made/for/it"
	spec.User = "1000:1000"
	if r := h.run(t, spec, nil, nil); r.stdout != "/made/for/it\n" || r.exit.Code != 0 {
		t.Errorf("%+v", r)
	}
}

// testInvalid checks that text that isn't UTF-8 is refused: a spec travels as JSON, which would change it.
func testInvalid(t *testing.T, h *Harness) {
	for _, bend := range []func(*engine.Spec){
		func(s *engine.Spec) { s.Args = append(s.Args, "a\xff") },
		func(s *engine.Spec) { s.Environment = []engine.Variable{{Name: "A", Value: "\xff"}} },
		func(s *engine.Spec) { s.Args = append(s.Args, "a\x00b") },
		func(s *engine.Spec) { s.Network.Mode = "" },
		func(s *engine.Spec) { s.Network.Egress = []network.Rule{{Host: "a.example"}} }, // in mode none
		func(s *engine.Spec) { s.Mocks = &engine.Mocks{Allow: network.Policy{Mode: network.ModeOpen}} },
	} {
		spec := h.Spec(Exit, "0")
		bend(spec)
		s, err := h.Start(t.Context(), spec, nil, engine.Streams{})
		if err == nil {
			_ = s.Close()
		}
		var invalid *engine.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("%q %v %v: got %v, want an InvalidError", spec.Args, spec.Environment, spec.Network, err)
		}
	}
}

func testTimes(t *testing.T, h *Harness) {
	before := time.Now().Add(-time.Second)
	r := h.run(t, h.Spec(Flood, "1000"), nil, nil)
	e := r.exit
	if e.Started.Before(before) || e.Finished.Before(e.Started) || e.Finished.After(time.Now().Add(time.Second)) {
		t.Errorf("started %v, finished %v", e.Started, e.Finished)
	}
	if e.Usage.CPUSeconds <= 0 || e.Usage.MemoryPeakBytes <= 0 {
		t.Errorf("usage %+v", e.Usage)
	}
}

func testSameID(t *testing.T, h *Harness) {
	spec := h.Spec(Sleep, "")
	first, err := h.Start(t.Context(), spec, nil, engine.Streams{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.Start(t.Context(), spec, nil, engine.Streams{})
	if err == nil {
		_ = second.Close()
		t.Error("two runs with the same id started")
	}
	if err := first.Signal(engine.SIGTERM); err != nil {
		t.Error(err)
	}
	if exit, err := wait(t, first); err != nil || exit.Code != 143 {
		t.Errorf("the first run: got %+v, %v, want exit status 143", exit, err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}

func testMany(t *testing.T, h *Harness) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			want := fmt.Sprintf("run %d", i)
			var out bytes.Buffer
			s, err := h.Start(t.Context(), h.Spec(Print, want), nil, engine.Streams{Stdout: &out})
			if err != nil {
				t.Error(err)
				return
			}
			for range s.Events() {
			}
			if exit, err := s.Wait(); err != nil || exit.Code != 0 {
				t.Errorf("%s: %+v, %v", want, exit, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if out.String() != want {
				t.Errorf("got %q, want %q", out.String(), want)
			}
		})
	}
	all.Wait()
}

// printed collects a tool's output, and lets a test wait for a text in it.
type printed struct {
	mu    sync.Mutex
	text  strings.Builder
	grown chan struct{}
}

func newPrinted() *printed { return &printed{grown: make(chan struct{}, 1)} }

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(b)
	select {
	case p.grown <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *printed) until(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(startTime)
	for !strings.Contains(p.String(), text) {
		select {
		case <-p.grown:
		case <-deadline:
			t.Fatalf("got output %q, want %q in it", p, text)
		}
	}
}

// signalWriter closes first at its first write.
type signalWriter struct {
	once  sync.Once
	first chan struct{}
}

func newSignalWriter() *signalWriter { return &signalWriter{first: make(chan struct{})} }

func (w *signalWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.first) })
	return len(p), nil
}

func (w *signalWriter) wait(t *testing.T) {
	t.Helper()
	select {
	case <-w.first:
	case <-time.After(startTime):
		t.Fatal("no output")
	}
}

// neverReader blocks forever, like an idle terminal.
type neverReader struct{}

func (neverReader) Read([]byte) (int, error) { select {} }
