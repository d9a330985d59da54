//go:build linux

package mocks

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
	"github.com/mayfly-run/mayfly/internal/network/networktest"
	"github.com/mayfly-run/mayfly/internal/oci"
	"github.com/mayfly-run/mayfly/test/testbed"
)

var clientProgram = testbed.Program("client")

// lab makes sandboxes with mocks.
type lab struct {
	t      *testing.T
	engine *oci.Engine
	image  testbed.Image
}

// newLab returns a lab with an image of busybox, the client, and more files.
func newLab(t *testing.T, files ...imagetest.File) *lab {
	t.Helper()
	client := imagetest.Tar(t, append([]imagetest.File{clientProgram(t)}, files...)...)
	return &lab{t: t, engine: testbed.Engine(t), image: testbed.Unpack(t, imagetest.Config{}, imagetest.BusyboxLayer(t), client)}
}

// listPolicy returns a policy with these rules.
func listPolicy(rules ...string) network.Policy {
	p := network.Policy{Mode: network.ModeList}
	for _, text := range rules {
		r, err := networktest.ParseRule(text)
		if err != nil {
			panic(err)
		}
		p.Egress = append(p.Egress, r)
	}
	return p
}

var (
	none   = network.Policy{Mode: network.ModeNone}
	public = network.Policy{Mode: network.ModePublic}
	all    = []network.PortRange{{First: 1, Last: 65535}}
)

var serial atomic.Int64

// servers has the server of each spec, by the spec's id.
var servers sync.Map

// local returns the engine.Local of a spec, with the sockets of its server.
func (l *lab) local(spec *engine.Spec) engine.Local {
	local := l.image.Local(nil)
	if s, ok := servers.Load(spec.ID); ok {
		local.Connections, local.Commands = s.(*server).connections, s.(*server).commands
	}
	return local
}

// spec returns a spec with a policy and with mocks that s serves.
func (l *lab) spec(s *server, p network.Policy, args ...string) *engine.Spec {
	id := fmt.Sprintf("mocks-%d-%d", time.Now().UnixNano(), serial.Add(1))
	servers.Store(id, s)
	return &engine.Spec{
		ID: id, Image: l.image.Image, Args: args,
		Resources: engine.Resources{CPU: 2000, Memory: 512 << 20, Disk: 64 << 20, PIDs: 256},
		Network:   p,
		Mocks:     &engine.Mocks{Allow: none},
	}
}

// result is the result of a run.
type result struct {
	engine.Exit
	stdout, stderr string
	connections    []engine.Connection
}

// lines returns the outcome of each attempt, from the client's lines.
func (r result) lines() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		if what, outcome, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			out[what] = outcome
		}
	}
	return out
}

// live is a run in progress.
type live struct {
	sandbox        engine.Sandbox
	stdout, stderr bytes.Buffer
	connections    []engine.Connection
	done           chan struct{}
}

func (l *lab) start(spec *engine.Spec, stdin io.Reader) (*live, error) {
	return l.startWith(spec, l.local(spec), stdin)
}

func (l *lab) startWith(spec *engine.Spec, local engine.Local, stdin io.Reader) (*live, error) {
	r := &live{done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), testbed.Patience)
	defer cancel()
	var err error
	if r.sandbox, err = l.engine.Start(ctx, spec, local, engine.Streams{Stdin: stdin, Stdout: &r.stdout, Stderr: &r.stderr}); err != nil {
		return nil, err
	}
	go func() {
		defer close(r.done)
		for e := range r.sandbox.Events() {
			if e.Connection != nil {
				r.connections = append(r.connections, *e.Connection)
			}
		}
	}()
	return r, nil
}

func (r *live) wait() (result, error) {
	kill := time.AfterFunc(testbed.Patience, func() { _ = r.sandbox.Signal(engine.SIGKILL) })
	defer kill.Stop()
	exit, err := r.sandbox.Wait()
	closeErr := r.sandbox.Close()
	<-r.done
	if err == nil {
		err = closeErr
	}
	return result{exit, r.stdout.String(), r.stderr.String(), r.connections}, err
}

// try runs a spec to its end. The error is that of the start or of the end.
func (l *lab) try(spec *engine.Spec, stdin io.Reader) (result, error) {
	r, err := l.start(spec, stdin)
	if err != nil {
		return result{}, err
	}
	return r.wait()
}

// run runs a spec whose tool must end with status 0.
func (l *lab) run(spec *engine.Spec, stdin io.Reader) result {
	l.t.Helper()
	r, err := l.try(spec, stdin)
	if err != nil {
		l.t.Fatal(err)
	}
	if r.Code != 0 {
		l.t.Fatalf("%v: status %d\n%s%s", spec.Args, r.Code, r.stdout, r.stderr)
	}
	return r
}
