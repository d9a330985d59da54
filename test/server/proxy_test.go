//go:build linux

package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// proxy is an HTTP proxy (RFC 9110, section 9.3.6, CONNECT) whose clients are in a network namespace of their own, which has nothing else.
// All connections go to one address.
type proxy struct {
	t        *testing.T
	to       string
	listener net.Listener

	mu    sync.Mutex
	away  bool // the address can't be reached
	conns map[net.Conn]bool
	asked []string
	work  sync.WaitGroup
}

// newProxy starts one, and calls inside with its address on a thread that is in its namespace.
func newProxy(t *testing.T, to string, inside func(address string)) *proxy {
	t.Helper()
	p := &proxy{t: t, to: to, conns: map[net.Conn]bool{}}
	failed := make(chan error)
	ready := make(chan struct{})
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			failed <- err
			return
		}
		if err := loopbackUp(); err != nil {
			failed <- err
			return
		}
		var err error
		p.listener, err = net.Listen("tcp4", "127.0.0.1:0")
		failed <- err
		if err == nil {
			<-ready
			inside(p.listener.Addr().String())
		}
		close(failed)
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	p.work.Go(p.serve)
	t.Cleanup(func() {
		_ = p.listener.Close() // once
		p.cut()
		p.work.Wait()
	})
	close(ready)
	if err := <-failed; err != nil { // inside has returned
		t.Fatal(err)
	}
	return p
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

func (p *proxy) serve() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.connect(c) })
	}
}

// keep remembers a connection until it is closed.
func (p *proxy) keep(c net.Conn) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return func() {
		_ = c.Close() // it may be already
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
	}
}

func (p *proxy) connect(c net.Conn) {
	defer p.keep(c)()
	in := bufio.NewReader(c)
	req, err := http.ReadRequest(in)
	if err != nil || req.Method != http.MethodConnect {
		p.t.Errorf("the proxy is asked for %+v, %v", req, err)
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, req.Host)
	away := p.away
	p.mu.Unlock()
	if away {
		return
	}
	there, err := net.Dial("tcp", p.to)
	if err != nil {
		return // the server is away
	}
	defer p.keep(there)()
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	p.work.Go(func() {
		defer c.Close()
		pass(c, there)
	})
	pass(there, in)
}

// pass copies until one side closes. It doesn't splice, for which package net keeps pipes that testbed finds.
func pass(to io.Writer, from io.Reader) {
	_, _ = io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from}) // they are closed
}

// reach says whether the address can be reached from now on.
func (p *proxy) reach(it bool) {
	p.mu.Lock()
	p.away = !it
	p.mu.Unlock()
	p.cut()
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// behindProxy starts the runner behind a proxy that leads to its server.
func (r *remote) behindProxy() (*proxy, *exec.Cmd) {
	t := r.s.t
	t.Helper()
	c := r.command("https://mayfly.test:6293")
	started := make(chan error, 1)
	p := newProxy(t, strings.TrimPrefix(r.s.url, "https://"), func(address string) {
		c.Env = append(c.Env, "HTTPS_PROXY=http://"+address, "NO_PROXY=")
		started <- c.Start()
	})
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminate(c) })
	return p, c
}

// TestRunnerBehindProxy has a runner that reaches the server only through a proxy, in a network namespace of its own: it carries out a run
// although its connections break, is told to end another one, and drains.
func TestRunnerBehindProxy(t *testing.T) {
	s := newSite(t)
	p, c := s.remote("far", "far", t.TempDir()).behindProxy()
	s.write("count.yaml", "name: count\nimage: busybox\ncommand: [sh, -c, \"for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done\"]\n")
	id := strings.TrimSpace(s.must("run", "count.yaml", "--pool", "far", "--detach", "-q"))
	s.wait("2\n", "logs", id)
	p.cut()
	if a := s.run("logs", "-f", id); a.status != 0 || a.out != "1\n2\n3\n4\n5\n6\n" {
		t.Errorf("a run while the connections break: %+v", a)
	}
	s.write("forever.yaml", "name: forever\nimage: busybox\ncommand: [sh, -c, \"echo up; while :; do sleep 0.1; done\"]\n")
	id = strings.TrimSpace(s.must("run", "forever.yaml", "--pool", "far", "--detach", "-q"))
	s.wait("up\n", "logs", id)
	begin := time.Now()
	s.must("cancel", id)
	if a := s.run("logs", "-f", id); a.status != 130 {
		t.Errorf("cancelled: %+v", a)
	}
	t.Logf("from the request to cancel to the end of the run: %v", time.Since(begin))
	s.drain("far", c)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, host := range p.asked {
		if host != "mayfly.test:6293" {
			t.Errorf("the proxy is asked for %s", host)
		}
	}
	if len(p.asked) < 2 {
		t.Errorf("the proxy was asked %d times", len(p.asked))
	}
}
