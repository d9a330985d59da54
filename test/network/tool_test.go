//go:build linux

package network

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	policy "github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/network/networktest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// clientProgram is the client of the attacks.
var clientProgram = testbed.Program("client")

// lab makes sandboxes with a network.
type lab struct {
	t      *testing.T
	engine testbed.Subject
	image  testbed.Image
}

func newLab(t *testing.T) *lab {
	t.Helper()
	client := imagetest.Tar(t, clientProgram(t))
	return &lab{t: t, engine: testbed.UnderTest(t), image: testbed.Unpack(t, imagetest.Config{}, imagetest.BusyboxLayer(t), client)}
}

// with is the lab of a subtest.
func (l *lab) with(t *testing.T) *lab { return &lab{t: t, engine: l.engine, image: l.image} }

var serial atomic.Int64

func list(rules ...string) policy.Policy {
	p := policy.Policy{Mode: policy.ModeList}
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
	open       = policy.Policy{Mode: policy.ModeOpen}
	public     = policy.Policy{Mode: policy.ModePublic}
	everything = list("{cidr: 0.0.0.0/0}", `{cidr: "::/0"}`)
)

func (l *lab) spec(p policy.Policy, args ...string) *engine.Spec {
	return &engine.Spec{
		ID: fmt.Sprintf("net-%d-%d", time.Now().UnixNano(), serial.Add(1)), Image: l.image.Image, Args: args,
		Resources: engine.Resources{CPU: 2000, Memory: 4 << 30, Disk: 64 << 20, PIDs: 256 + 8*int64(l.engine.Processes)},
		Network:   p,
	}
}

// result is what came of a run.
type result struct {
	engine.Exit
	stdout, stderr string
	connections    []engine.Connection
}

// outcomes are the client's lines: target, outcome.
func (r result) outcomes() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		if fields := strings.Split(strings.TrimSpace(line), "\t"); len(fields) > 1 {
			out[fields[0]] = fields[1]
		}
	}
	return out
}

// counts are the sums of the flooding client's lines.
func (r result) counts() map[string]int {
	out := map[string]int{}
	for line := range strings.Lines(r.stdout) {
		if what, text, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			n, _ := strconv.Atoi(text)
			out[what] += n
		}
	}
	return out
}

// connection is the report of a destination, if there is one.
func (r result) connection(protocol, address string) *engine.Connection {
	for i, c := range r.connections {
		if c.Protocol == protocol && c.Address == address {
			return &r.connections[i]
		}
	}
	return nil
}

// live is a run that has started.
type live struct {
	l              *lab
	sandbox        engine.Sandbox
	stdout, stderr bytes.Buffer
	done           chan struct{}
	connections    []engine.Connection
}

func (l *lab) start(spec *engine.Spec) *live {
	l.t.Helper()
	r := &live{l: l, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), testbed.Patience)
	l.t.Cleanup(cancel)
	var err error
	r.sandbox, err = l.engine.Start(ctx, spec, l.image.Local(nil), engine.Streams{Stdout: &r.stdout, Stderr: &r.stderr})
	if err != nil {
		l.t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		for e := range r.sandbox.Events() {
			if e.Connection != nil {
				r.connections = append(r.connections, *e.Connection)
			}
		}
	}()
	return r
}

func (r *live) wait() result {
	r.l.t.Helper()
	kill := time.AfterFunc(testbed.Patience, func() { _ = r.sandbox.Signal(engine.SIGKILL) })
	defer kill.Stop()
	exit, err := r.sandbox.Wait()
	if err != nil {
		r.l.t.Fatal(err)
	}
	if err := r.sandbox.Close(); err != nil {
		r.l.t.Error(err)
	}
	<-r.done
	return result{Exit: exit, stdout: r.stdout.String(), stderr: r.stderr.String(), connections: r.connections}
}

// run runs the client, which has to succeed; what it tries needn't.
func (l *lab) run(p policy.Policy, args ...string) result {
	l.t.Helper()
	return l.runSpec(l.spec(p, append([]string{"client"}, args...)...))
}

func (l *lab) runSpec(spec *engine.Spec) result {
	l.t.Helper()
	r := l.start(spec).wait()
	if r.Code != 0 {
		l.t.Fatalf("%v: status %d\n%s%s", spec.Args, r.Code, r.stdout, r.stderr)
	}
	return r
}

// refused says that each target was refused.
func (r result) refused(t *testing.T, targets ...string) {
	t.Helper()
	outcomes := r.outcomes()
	for _, target := range targets {
		if outcomes[target] != "refused" {
			t.Errorf("%s: %q, not refused", target, outcomes[target])
		}
	}
}

// denied says that an address was denied and reported with the reason.
func (r result) denied(t *testing.T, protocol string, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		if c := r.connection(protocol, a); c == nil || c.Allowed || c.Reason == "" || c.Rule == "" {
			t.Errorf("%s: report %+v", a, c)
		}
	}
}
