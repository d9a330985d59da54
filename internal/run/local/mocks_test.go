package local

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/run"
)

// answers are mocks that give every connection and command the same answer.
type answers struct{ work sync.WaitGroup }

func (a *answers) Connection(c net.Conn) {
	a.work.Go(func() {
		defer c.Close()
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			return
		}
		_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, 5), "hello\x00\x00\x00\x00"...))
	})
}

func (a *answers) Command(c net.Conn) {
	a.work.Go(func() {
		defer c.Close()
		_, _ = c.Write([]byte{3, 0, 0, 0, 1, 7})
		_, _ = io.Copy(io.Discard, c)
	})
}

// TestMocksOfARequest: the runner passes connections and commands of the tool to the caller's mocks, and leaves no socket.
func TestMocksOfARequest(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	s := newSession(map[string]fake.Program{"go": func(p *fake.Process) int {
		c, err := p.Dial("api.example", 80)
		if err != nil {
			t.Error(err)
			return 1
		}
		defer c.Close()
		if data, err := p.Receive(c); err != nil || string(data) != "hello" {
			t.Errorf("%q, %v", data, err)
		}
		_, _, code, err := p.Call("", "git", "status")
		if err != nil {
			t.Error(err)
		}
		return code
	}})
	req := s.request(t, "image: i\nnetwork: public\n"+goTool)
	req.Mocks = &engine.Mocks{Allow: network.Policy{Mode: network.ModeNone}, Commands: []string{"git"}}
	mocks := &answers{}
	watch := s.opts.Watch
	watch.Mocks = mocks
	r, err := s.runner.Run(t.Context(), req, watch)
	if err != nil || r.Status != run.Failed || r.ExitCode != 7 {
		t.Errorf("%+v, %v", r, err)
	}
	mocks.work.Wait()
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}

	if r, err := s.runner.Run(t.Context(), req, s.opts.Watch); err == nil || r.Status != run.Error || !strings.Contains(r.Reason, "nothing answers for them") {
		t.Errorf("without mocks in Watch: got %+v, %v, want an error", r, err)
	}
	t.Setenv("TMPDIR", "/nowhere/at/all")
	if r, err := s.runner.Run(t.Context(), req, watch); err == nil || r.Status != run.Error || !strings.Contains(r.Reason, "make a temporary folder") {
		t.Errorf("without a folder for sockets: got %+v, %v, want an error", r, err)
	}
}
