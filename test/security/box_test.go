//go:build linux

package security

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/test/testbed"
)

var attackerProgram = testbed.Program("attacker")

// attackerLayer returns a layer with the attacker and the files of a test.
func attackerLayer(t *testing.T, files ...imagetest.File) []byte {
	t.Helper()
	return imagetest.Tar(t, append([]imagetest.File{attackerProgram(t)}, files...)...)
}

// box makes sandboxes of one image.
type box struct {
	t      *testing.T
	engine testbed.Subject
	image  testbed.Image
	canary *canary
	// folders has the paths of the host folders that mounts name.
	folders map[string]string
}

// newBox returns a box of the engine under test, whose image has busybox, and above it the attacker and more files.
func newBox(t *testing.T, files ...imagetest.File) *box {
	t.Helper()
	return boxOf(t, testbed.UnderTest(t), files...)
}

// embeddedBox returns a box of the embedded engine, for attacks on parts that only this engine has: its process 1, its filter of
// system calls, and what it counts of the host's kernel. They run on it even if another engine is under test.
func embeddedBox(t *testing.T, files ...imagetest.File) *box {
	t.Helper()
	return boxOf(t, testbed.Embedded(t), files...)
}

func boxOf(t *testing.T, e testbed.Subject, files ...imagetest.File) *box {
	t.Helper()
	c := newCanary(t)
	return &box{
		t: t, engine: e, canary: c,
		image: testbed.Unpack(t, imagetest.Config{}, imagetest.BusyboxLayer(t), attackerLayer(t, files...)),
	}
}

var serial atomic.Int64

func newID() string { return fmt.Sprintf("attack-%d-%d", time.Now().UnixNano(), serial.Add(1)) }

// spec returns a spec with the default profile for a command line.
func (b *box) spec(args ...string) *engine.Spec {
	return &engine.Spec{
		ID: newID(), Image: b.image.Image, Args: args,
		Resources: engine.Resources{CPU: 1000, Memory: 256 << 20, Disk: 64 << 20, PIDs: 64},
		Network:   network.Policy{Mode: network.ModeNone},
	}
}

// shell returns the spec of a shell script.
func (b *box) shell(script string) *engine.Spec { return b.spec("sh", "-c", script) }

// result is the result of a run.
type result struct {
	engine.Exit
	stdout, stderr string
	connections    []engine.Connection
}

// lines returns the outcome of each attempt, from the attacker's lines. An attempt with different outcomes has all of them.
func (r result) lines() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t"); ok {
			if old, twice := out[name]; twice && old != value {
				value = old + " " + value
			}
			out[name] = value
		}
	}
	return out
}

// run runs a spec that must start.
func (b *box) run(spec *engine.Spec, secrets engine.Secrets) result {
	b.t.Helper()
	r, err := b.try(spec, secrets)
	if err != nil {
		b.t.Fatalf("%v: %v", spec.Args, err)
	}
	return r
}

// attack runs the attacker, and returns the outcome of each attempt.
func (b *box) attack(args ...string) map[string]string {
	b.t.Helper()
	r := b.run(b.spec(append([]string{"attacker"}, args...)...), nil)
	if r.Code != 0 || r.stdout == "" {
		b.t.Fatalf("attacker %v: %+v", args, r)
	}
	return r.lines()
}

// try runs a spec to its end. The error is that of the start or of Wait.
func (b *box) try(spec *engine.Spec, secrets engine.Secrets) (result, error) {
	b.t.Helper()
	l, err := b.start(spec, secrets, nil)
	if err != nil {
		b.gone(spec.ID)
		return result{}, err
	}
	return l.wait()
}

// live is a running sandbox.
type live struct {
	b              *box
	id             string
	sandbox        engine.Sandbox
	stdout, stderr *output
	ended          chan struct{}
	connections    []engine.Connection // valid after the end
	exit           engine.Exit
	err            error
}

func (b *box) start(spec *engine.Spec, secrets engine.Secrets, stdin io.Reader) (*live, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testbed.Patience)
	defer cancel()
	l := &live{b: b, id: spec.ID, stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	local := b.image.Local(secrets)
	local.Folders = b.folders
	s, err := b.engine.Start(ctx, spec, local, engine.Streams{Stdin: stdin, Stdout: l.stdout, Stderr: l.stderr})
	if err != nil {
		return nil, err
	}
	l.sandbox = s
	go func() {
		defer close(l.ended)
		for e := range s.Events() {
			if e.Connection != nil {
				l.connections = append(l.connections, *e.Connection)
			}
		}
		l.exit, l.err = s.Wait()
	}()
	return l, nil
}

// mustStart starts a spec that must start. The sandbox is closed at the end of the test.
func (b *box) mustStart(spec *engine.Spec) *live {
	b.t.Helper()
	l, err := b.start(spec, nil, nil)
	if err != nil {
		b.t.Fatalf("%v: %v", spec.Args, err)
	}
	b.t.Cleanup(func() { _ = l.sandbox.Close() })
	return l
}

// wait waits for the end, closes the sandbox, and checks that it left nothing.
func (l *live) wait() (result, error) {
	l.b.t.Helper()
	select {
	case <-l.ended:
	case <-time.After(testbed.Patience):
		_ = l.sandbox.Close()
		l.b.t.Fatalf("run %s doesn't end; stdout %.500q stderr %.500q", l.id, l.stdout, l.stderr)
	}
	if err := l.close(); err != nil {
		l.b.t.Errorf("close: %v", err)
	}
	r := result{l.exit, l.stdout.String(), l.stderr.String(), l.connections}
	l.b.canary.unseenIn(r.stdout + r.stderr + string(r.Output))
	return r, l.err
}

// close ends the sandbox and checks that it left nothing.
func (l *live) close() error {
	l.b.t.Helper()
	closed := make(chan error, 1)
	go func() { closed <- l.sandbox.Close() }()
	select {
	case err := <-closed:
		l.b.gone(l.id)
		return err
	case <-time.After(testbed.Patience):
		l.b.t.Fatalf("closing run %s doesn't end", l.id)
		return nil
	}
}

// output collects a stream and lets a test wait for some of it.
type output struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	grown chan struct{}
}

func newOutput() *output { return &output{grown: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := 16<<20 - o.buf.Len(); room > 0 {
		o.buf.Write(p[:min(room, len(p))])
	}
	select {
	case o.grown <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// until waits for a text to appear.
func (o *output) until(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(testbed.Patience)
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.grown:
		case <-deadline:
			t.Fatalf("no %q in %.500q", text, o.String())
		}
	}
}
