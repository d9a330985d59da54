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

// clientProgram is the program that the attacks run in the sandbox.
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

// with returns the same lab for a subtest.
func (l *lab) with(t *testing.T) *lab { return &lab{t: t, engine: l.engine, image: l.image} }

var serial atomic.Int64

// listPolicy returns a policy with these rules.
func listPolicy(rules ...string) policy.Policy {
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
	everything = listPolicy("{cidr: 0.0.0.0/0}", `{cidr: "::/0"}`)
)

// spec allows as many processes as the twenty clients of a flood need together with those that gVisor starts for each.
func (l *lab) spec(p policy.Policy, args ...string) *engine.Spec {
	return &engine.Spec{
		ID: fmt.Sprintf("net-%d-%d", time.Now().UnixNano(), serial.Add(1)), Image: l.image.Image, Args: args,
		Resources: engine.Resources{CPU: 2000, Memory: 4 << 30, Disk: 64 << 20, PIDs: 256 + 8*int64(l.engine.Processes)},
		Network:   p,
	}
}

// result is the result of a run.
type result struct {
	engine.Exit
	stdout, stderr string
	connections    []engine.Connection
}

// outcomes returns the outcome of each target, from the client's lines.
func (r result) outcomes() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		if fields := strings.Split(strings.TrimSpace(line), "\t"); len(fields) > 1 {
			out[fields[0]] = fields[1]
		}
	}
	return out
}

// counts returns the number of attempts by outcome, from the lines of client flood.
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

// connection returns the report of a destination, or nil.
func (r result) connection(protocol, address string) *engine.Connection {
	for i, c := range r.connections {
		if c.Protocol == protocol && c.Address == address {
			return &r.connections[i]
		}
	}
	return nil
}

// live is a run in progress.
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

// run runs the client, which must end with status 0; its attempts may fail.
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

// refused checks that each target was refused.
func (r result) refused(t *testing.T, targets ...string) {
	t.Helper()
	outcomes := r.outcomes()
	for _, target := range targets {
		if outcomes[target] != "refused" {
			t.Errorf("%s: got %q, want refused", target, outcomes[target])
		}
	}
}

// denied checks that each address was denied, and reported with a reason and a rule.
func (r result) denied(t *testing.T, protocol string, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		if c := r.connection(protocol, a); c == nil || c.Allowed || c.Reason == "" || c.Rule == "" {
			t.Errorf("%s: report %+v, want one that is denied", a, c)
		}
	}
}
