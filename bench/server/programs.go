package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/program"
)

// programs are the built programs with a home, and a server that one of them is.
type programs struct {
	mayfly, dir string
	url, token  string
	fingerprint string
	server      *exec.Cmd
}

func (p *programs) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, p.mayfly, args...)
	c.Dir = p.dir
	c.Env = append(os.Environ(), "MAYFLY_HOME="+filepath.Join(p.dir, "home"), "MAYFLY_POLICY=/dev/null", "MAYFLY_SERVER=", "MAYFLY_CONTEXT=")
	return c
}

func (p *programs) must(ctx context.Context, args ...string) error {
	out, err := p.command(ctx, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mayfly %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// start starts a server of the built programs with these flags.
func start(ctx context.Context, flags ...string) (_ *programs, err error) {
	p := &programs{mayfly: "bin/mayfly"}
	if p.mayfly, err = filepath.Abs(p.mayfly); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("/var/tmp", "mayfly-bench-server-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.abandon()
		}
	}()
	p.server = p.command(ctx, append([]string{"server", "--data", filepath.Join(p.dir, "data"), "--listen", "127.0.0.1:0", "--limit-requests", "0"}, flags...)...)
	p.server.Cancel = func() error { return p.server.Process.Signal(syscall.SIGTERM) }
	log := &bytes.Buffer{}
	p.server.Stderr = log
	out, err := p.server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.server.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Log in: ") {
		if _, url, ok := strings.Cut(lines.Text(), "listens at "); ok {
			p.url = url
		}
		if _, print, ok := strings.Cut(lines.Text(), "fingerprint "); ok {
			p.fingerprint = print
		}
	}
	if p.url == "" {
		return nil, fmt.Errorf("the server doesn't start: %s", log)
	}
	token, err := os.ReadFile(filepath.Join(p.dir, "data", "admin-token"))
	if err != nil {
		return nil, err
	}
	p.token = strings.TrimSpace(string(token))
	return p, nil
}

// abandon leaves nothing of a server that can't be used.
func (p *programs) abandon() {
	if p.server != nil && p.server.Process != nil {
		_ = p.server.Process.Kill() // it may have ended
		_ = p.server.Wait()
	}
	_ = os.RemoveAll(p.dir) // the error is that of the start
}

func (p *programs) client() (*api.Client, error) {
	return api.NewClient(api.ClientOptions{Server: p.url, Token: p.token, Fingerprint: p.fingerprint, UserAgent: "bench/" + program.ThisBuild().Version})
}

func (p *programs) close() error {
	err := p.server.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, p.server.Wait(), os.RemoveAll(p.dir))
}

// measureSandboxes compares runs through a server, with real sandboxes, with those on this machine: whole commands, alternately.
func measureSandboxes(ctx context.Context, rounds int) (err error) {
	p, err := start(ctx, "--with-runner")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	image, err := filepath.Abs(".build/images/busybox.tar")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"one.yaml":  "name: one\nimage: mayfly/busybox\ncommand: [/bin/busybox, \"true\"]\nnetwork: none\n",
		"flow.yaml": "name: flow\nworkflow: [{name: a, tool: one}, {name: b, tool: one}, {name: c, tool: one}]\n",
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"image", "load", "-i", image},
		{"login", p.url, "--token-file", filepath.Join(p.dir, "data", "admin-token")},
		{"tool", "push", "one.yaml", "flow.yaml", "--server", p.url},
	} {
		if err := p.must(ctx, args...); err != nil {
			return err
		}
	}
	var bare, there, flow []time.Duration
	for range rounds + 3 {
		for _, one := range []struct {
			times *[]time.Duration
			args  []string
		}{
			{&bare, []string{"run", "one.yaml", "--quiet"}}, {&there, []string{"run", "one", "--quiet", "--server", p.url}}, {&flow, []string{"run", "flow", "--quiet", "--server", p.url}},
		} {
			at := time.Now()
			if err := p.must(ctx, one.args...); err != nil {
				return err
			}
			*one.times = append(*one.times, time.Since(at))
		}
	}
	here, through, three := median(bare[3:]), median(there[3:]), median(flow[3:]) // the first ones warm up
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	fmt.Printf("| a run through the server over one on this machine | +%s | whole commands, alternately %d times: %s and %s | <= +10ms |\n", round(through-here), rounds, round(through), round(here))
	fmt.Printf("| a workflow of 3 steps through the server over 3 runs on this machine | %+.1fms | %s and 3 × %s | <= +30ms |\n", float64((three-3*here).Microseconds())/1000, round(three), round(here))
	return nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
