//go:build linux

package network

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// floodMemory bounds the shim's memory, in bytes, under a flood of connections that all hold as much as they may.
const floodMemory = 256 << 20

// peak measures the memory of this process's shims.
type peak struct {
	stop chan struct{}
	done chan int64
}

func watchShims() *peak {
	p := &peak{stop: make(chan struct{}), done: make(chan int64, 1)}
	go func() {
		most := int64(0)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			paths, _ := filepath.Glob("/proc/[0-9]*/status")
			for _, path := range paths {
				most = max(most, shimMemory(path))
			}
			select {
			case <-p.stop:
				p.done <- most
				return
			case <-tick.C:
			}
		}
	}()
	return p
}

// end returns the most memory that any shim had, in bytes.
func (p *peak) end() int64 {
	close(p.stop)
	return <-p.done
}

// shimMemory returns the most memory that a process has had, in bytes, if it is a shim of this process, otherwise 0. path is
// its file status in /proc.
func shimMemory(path string) int64 {
	status, err := os.ReadFile(path)
	if err != nil {
		return 0 // the process has ended
	}
	field := map[string]string{}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		field[name] = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB"))
	}
	if field["Name"] != "mayfly-shim" || field["PPid"] != strconv.Itoa(os.Getpid()) {
		return 0
	}
	kib, _ := strconv.ParseInt(field["VmHWM"], 10, 64)
	return kib << 10
}

// TestN05_ManyConnections opens 10,000 connections to a server that doesn't read.
func TestN05_ManyConnections(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	block := make(chan struct{})
	defer close(block)
	port := i.serve(server4+":0", func(net.Conn) { <-block })
	p := watchShims()
	r := l.run(public, "flood", "tcp", net.JoinHostPort(server4, port), "10000")
	most := p.end()
	accepted, refused := r.counts()["ok"], r.counts()["refused"]
	unsure := 10_000 - accepted - refused // in gVisor some attempts are interrupted, and may have been reported
	t.Logf("%v, %d MiB, %d reports", r.counts(), most>>20, len(r.connections))
	if accepted == 0 || accepted > 4096 || unsure != 0 && !l.engine.OwnKernel {
		t.Errorf("%d were accepted and %d refused", accepted, refused)
	}
	if most == 0 || most > floodMemory {
		t.Errorf("the shim had %d MiB", most>>20)
	}
	if n := len(r.connections); n == 0 || n > accepted+unsure+10 {
		t.Errorf("%d reports of %d connections", n, accepted)
	}
}

// TestN05_ManyFlows sends a datagram from each of 50,000 sockets.
func TestN05_ManyFlows(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	conn := i.listenPacket(server4 + ":0")
	p := watchShims()
	r := l.run(public, "flood", "udp", conn.LocalAddr().String(), "50000")
	most := p.end()
	t.Logf("%v, %d MiB, %d reports", r.counts(), most>>20, len(r.connections))
	if most == 0 || most > floodMemory {
		t.Errorf("the shim had %d MiB", most>>20)
	}
	if n := len(r.connections); n == 0 || n > 4096 {
		t.Errorf("%d reports", n)
	}
	if len(receiveAll(t, conn)) == 0 {
		t.Error("nothing arrived")
	}
}

// TestN05_DeniedFloods opens 20,000 connections and flows to a destination that isn't allowed.
func TestN05_DeniedFloods(t *testing.T) {
	l := newLab(t)
	p := watchShims()
	for _, kind := range []string{"tcp", "udp"} {
		r := l.run(listPolicy("{host: good.example}"), "flood", kind, server4+":80", "20000")
		if n := len(r.connections); n != 1 {
			t.Errorf("%s: %d reports", kind, n)
		}
	}
	if most := p.end(); most == 0 || most > floodMemory {
		t.Errorf("the shim had %d MiB", most>>20)
	}
}

// TestN05_HostSocketsAreBounded opens 300 connections that fill up in both directions: neither the tool nor the server reads.
// What waits in the shim's sockets is memory of the host, and doesn't count towards the tool's limit.
func TestN05_HostSocketsAreBounded(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	block := make(chan struct{})
	defer close(block)
	port := i.serve(server4+":0", func(conn net.Conn) {
		// Keep the server's own queues small, since they aren't measured.
		if err := errors.Join(conn.(*net.TCPConn).SetWriteBuffer(4096), conn.(*net.TCPConn).SetReadBuffer(4096)); err != nil {
			t.Error(err)
		}
		go func() { _, _ = io.Copy(conn, endless{}) }() // until the connection ends
		<-block
	})
	spec := l.spec(public, "client", "hoard", net.JoinHostPort(server4, port), "300")
	spec.Resources.Memory = 64 << 20
	before := testbed.SocketMemory(t, "TCP")
	held := func() int64 { return testbed.SocketMemory(t, "TCP") - before }
	if testbed.Unified() { // the tool's own sockets count towards its limit there, and only the shim's are measured
		spec.Resources.Memory = 1 << 30
		held = func() int64 { return testbed.SocketsOf(t, "/sys/fs/cgroup/mayfly/"+wire.ShimCgroup(spec.ID)) }
	}
	var most atomic.Int64
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			most.Store(max(most.Load(), held()))
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	r := l.runSpec(spec)
	close(stop)
	watching.Wait()
	if r.outcomes()["held"] != "300" {
		t.Errorf("%+v", r)
	}
	t.Logf("%d MiB", most.Load()>>20)
	if most.Load() == 0 || most.Load() > floodMemory {
		t.Errorf("the sockets hold %d MiB", most.Load()>>20)
	}
}

// endless is a reader that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
