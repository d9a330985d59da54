//go:build linux

package mocks

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = time.Minute

func TestToolEndsItsSideFirst(t *testing.T) {
	each(t, func(t *testing.T, target string, run func(*server, ...string) result) {
		s := newServer(t, func(c *connection) {
			said, err := io.ReadAll(c)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(c, "you said %s", said)
			c.end()
		}, nil)
		r := run(s, "client", "half", target)
		if got := r.lines()[target]; got != "ok you said question" {
			t.Errorf("%q", got)
		}
		if c := r.connections[0]; c.TxBytes != 8 || c.RxBytes != 17 || c.Reason != "" {
			t.Errorf("report %+v", c)
		}
	})
}

func TestMocksEndTheirSideFirst(t *testing.T) {
	each(t, func(t *testing.T, target string, run func(*server, ...string) result) {
		later := make(chan string, 1)
		s := newServer(t, func(c *connection) {
			_, _ = io.WriteString(c, "hello")
			c.end()
			said, _ := io.ReadAll(c)
			later <- string(said)
		}, nil)
		r := run(s, "client", "wait", target)
		if got := r.lines()[target]; got != "ok hello" {
			t.Errorf("%q", got)
		}
		if got := <-later; got != "later" {
			t.Errorf("the mocks read %q", got)
		}
	})
}

func TestMocksReset(t *testing.T) {
	each(t, func(t *testing.T, target string, run func(*server, ...string) result) {
		s := newServer(t, func(c *connection) { c.reset(); _, _ = io.Copy(io.Discard, c) }, nil)
		r := run(s, "client", "read", target)
		if got := r.lines()[target]; got != "reset" {
			t.Errorf("%q", got)
		}
		if c := r.connections[0]; !strings.Contains(c.Reason, "reset") {
			t.Errorf("report %+v", c)
		}
	})
}

// TestMocksDie checks that an answer that was cut off doesn't look complete.
func TestMocksDie(t *testing.T) {
	each(t, func(t *testing.T, target string, run func(*server, ...string) result) {
		s := newServer(t, func(c *connection) {
			_ = c.frame(100)
			_, _ = io.WriteString(c.UnixConn, "half")
		}, nil)
		r := run(s, "client", "read", target)
		if got := r.lines()[target]; got != "reset" {
			t.Errorf("%q", got)
		}
	})
}

func TestToolResets(t *testing.T) {
	each(t, func(t *testing.T, target string, run func(*server, ...string) result) {
		ended := make(chan error, 1)
		s := newServer(t, func(c *connection) {
			_, _ = io.WriteString(c, "!")
			_, _ = io.Copy(io.Discard, c)
			// The connection is closed in both directions, so writing must fail too, a little later.
			var err error
			for end := time.Now().Add(patience); err == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
				_, err = c.Write([]byte("more"))
			}
			ended <- err
		}, nil)
		run(s, "sh", "-c", "client linger "+target+"; sleep 0.3")
		if err := <-ended; !errors.Is(err, unix.EPIPE) {
			t.Errorf("writing after the tool's reset: got %v, want %v", err, unix.EPIPE)
		}
	})
}

// TestHundredMegabytes sends 100 MB in both directions at once, and checks that all of it arrives.
func TestHundredMegabytes(t *testing.T) {
	const size = 100 << 20
	each(t, func(t *testing.T, target string, run func(*server, ...string) result) {
		sums := make(chan string, 1)
		s := newServer(t, func(c *connection) {
			// Everything that comes is sent back.
			h := sha256.New()
			_, err := io.CopyBuffer(struct{ io.Writer }{c}, io.TeeReader(c, h), make([]byte, 100_000))
			if err != nil {
				t.Error(err)
			}
			c.end()
			sums <- fmt.Sprintf("%x", h.Sum(nil))
		}, nil)
		r := run(s, "client", "big", target, fmt.Sprint(size))
		sum := <-sums
		if r.lines()["sent"] != sum || r.lines()["received"] != fmt.Sprintf("%d %s", size, sum) {
			t.Errorf("the client had %q, the mocks %s", r.stdout, sum)
		}
		if c := r.connections[0]; c.TxBytes != size || c.RxBytes != size {
			t.Errorf("report %+v", c)
		}
	})
}

// TestEndlessFrame checks that mocks that announce a frame of 4 GB and send little of it make the engine reserve no memory for
// it.
func TestEndlessFrame(t *testing.T) {
	each(t, func(t *testing.T, target string, run func(*server, ...string) result) {
		s := newServer(t, func(c *connection) {
			_ = c.frame(0xfffffffe)
			for range 100 {
				_, _ = c.UnixConn.Write(make([]byte, 10_000))
			}
		}, nil)
		r := run(s, "client", "read", target)
		if got := r.lines()[target]; got != "reset" {
			t.Errorf("%q", got)
		}
		if c := r.connections[0]; c.RxBytes > 1_000_000 {
			t.Errorf("report %+v", c)
		}
	})
}

// TestLastWords checks that everything that the tool sent before it ended reaches slow mocks.
func TestLastWords(t *testing.T) {
	each(t, func(t *testing.T, target string, run func(*server, ...string) result) {
		const size = 400_000
		heard := make(chan int64, 1)
		s := newServer(t, func(c *connection) {
			time.Sleep(200 * time.Millisecond)
			n, _ := io.Copy(io.Discard, c)
			heard <- n
		}, nil)
		run(s, "client", "shout", target, fmt.Sprint(size))
		if got := <-heard; got != size {
			t.Errorf("the mocks heard %d of %d bytes", got, size)
		}
	})
}
