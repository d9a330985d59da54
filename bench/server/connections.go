package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
)

// measureConnections connects runners and readers of logs, each by a connection of its own, and looks at the server's memory and at
// heartbeats that come too late, for a minute.
func measureConnections(ctx context.Context, runners, readers int) (err error) {
	p, err := start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	client, err := p.client()
	if err != nil {
		return err
	}
	defer client.Close()
	token, err := client.CreateToken(ctx, "", &api.NewToken{Name: "runners", Role: "runner", Pool: "other"})
	if err != nil {
		return err
	}
	tokens := make([]string, readers/500+1) // a token may have 1,000 streams
	for n := range tokens {
		one, err := client.CreateToken(ctx, "default", &api.NewToken{Name: fmt.Sprint("readers-", n), Role: "viewer"})
		if err != nil {
			return err
		}
		tokens[n] = one.Token
	}
	const definition = "name: t\nimage: i\ncommand: [x]\n"
	digest := archive.Digest([]byte(definition))
	if err := client.PutContent(ctx, "default", digest, strings.NewReader(definition)); err != nil {
		return err
	}
	// It waits, since no runner is in its pool, so its readers are idle.
	r, err := client.CreateRun(ctx, "default", &api.NewRun{Bundle: &api.Bundle{Definition: "t.yaml", Files: []api.File{{Path: "t.yaml", Digest: digest, Size: int64(len(definition))}}}})
	if err != nil {
		return err
	}
	connected, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	c := &connections{p: p, failed: make(chan error, 1)}
	at := time.Now()
	for range 16 { // as many handshakes at once
		work.Go(func() {
			for n := c.next.Add(1); n <= int64(readers) && connected.Err() == nil; n = c.next.Add(1) {
				c.fail(c.read(connected, &work, tokens[n%int64(len(tokens))], r.ID))
			}
		})
	}
	for n := range runners {
		work.Go(func() { c.fail(c.runner(connected, token.Token, n)) })
	}
	for c.open.Load() < int64(runners+readers) {
		select {
		case err := <-c.failed:
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
	took := time.Since(at).Round(time.Second)
	const lasts = time.Minute
	select {
	case err := <-c.failed:
		return err
	case <-time.After(lasts):
	}
	bytes, err := resident(p.server.Process.Pid)
	if err != nil {
		return err
	}
	fmt.Printf("| %d runners connected, %d idle readers of logs | %d MiB, %d of %d heartbeats missed | each a connection over TLS, connected after %s; the slowest heartbeat took %s | <= 1024 MiB, none missed |\n",
		runners, readers, bytes>>20, c.missed.Load(), c.beats.Load(), took, time.Duration(c.slowest.Load()).Round(time.Millisecond))
	return nil
}

type connections struct {
	p             *programs
	next, open    atomic.Int64
	beats, missed atomic.Int64
	slowest       atomic.Int64
	failed        chan error
}

func (c *connections) fail(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	select {
	case c.failed <- err:
	default:
	}
}

// read follows the events of a run on a connection of its own, in the background.
func (c *connections) read(ctx context.Context, work *sync.WaitGroup, token, id string) error {
	address := strings.TrimPrefix(c.p.url, "https://")
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}}).DialContext(ctx, "tcp", address) //nolint:gosec // this machine's own server
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET %s/projects/default/runs/%s/events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", api.Prefix, id, address, token)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 512)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, fmt.Sprint(http.StatusOK)) {
		return fmt.Errorf("a reader is answered %q: %w", line, errors.Join(err, errors.New("no stream")))
	}
	c.open.Add(1)
	work.Go(func() {
		defer stop()
		for { // the server says from time to time that it is alive
			if _, err := in.ReadByte(); err != nil {
				if ctx.Err() == nil {
					c.fail(fmt.Errorf("a reader is cut off: %w", err))
				}
				return
			}
		}
	})
	return nil
}

// runner connects, and says every ten seconds that it is alive, as a runner does.
func (c *connections) runner(ctx context.Context, token string, n int) error {
	client, err := api.NewClient(api.ClientOptions{Server: c.p.url, Token: token, Fingerprint: c.p.fingerprint})
	if err != nil {
		return err
	}
	defer client.Close()
	name := fmt.Sprint("runner-", n)
	link := client.Runner(name, strings.Repeat("a", 16)+fmt.Sprintf("%08d", n))
	hello := api.Hello{Protocol: api.Protocol, Name: name, Version: "bench", Slots: 1, Key: someKey}
	var once sync.Once
	ended := make(chan error, 1)
	go func() {
		ended <- link.Messages(ctx, &hello, func(api.Message) error { once.Do(func() { c.open.Add(1) }); return nil })
	}()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case err := <-ended:
			return err
		case <-ctx.Done():
			return <-ended
		}
		at := time.Now()
		_, err := link.Heartbeat(ctx, &api.Heartbeat{Hello: hello})
		if ctx.Err() != nil {
			continue
		}
		took := time.Since(at)
		c.beats.Add(1)
		if err != nil || took > 20*time.Second { // the lease is 30 s
			c.missed.Add(1)
		}
		for old := c.slowest.Load(); int64(took) > old && !c.slowest.CompareAndSwap(old, int64(took)); old = c.slowest.Load() {
		}
	}
}

// resident is what a process has of the machine's memory, in bytes.
func resident(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("the process has no VmRSS")
}
