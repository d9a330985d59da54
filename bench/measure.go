//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

const trueTool = "name: nothing\nimage: mayfly/busybox\ncommand: [\"true\"]\n"

// start times one run of true: the whole process, with a warm image and all features on.
func (b *bench) start() error {
	path, err := b.tool("true", trueTool)
	if err != nil {
		return err
	}
	subjects := []subject{{"mayfly", func() *exec.Cmd { return b.mayfly("run", "-q", path) }}}
	if b.bundle != "" {
		subjects = append(subjects, subject{"runc", func() *exec.Cmd { return b.runcCommand("bench") }})
	}
	if b.docker {
		subjects = append(subjects, subject{"docker", func() *exec.Cmd { return b.dockerCommand("run", "--rm", "mayfly/busybox", "true") }})
		subjects = append(subjects, subject{"docker without network", func() *exec.Cmd {
			return b.dockerCommand("run", "--rm", "--network", "none", "mayfly/busybox", "true")
		}})
	}
	if b.podman != "" {
		subjects = append(subjects, subject{"podman without network", func() *exec.Cmd {
			return b.podmanCommand("run", "--rm", "--network", "none", "mayfly/busybox", "true")
		}})
	}
	medians, err := b.times(b.runs, subjects)
	if err != nil {
		return err
	}
	own := medians["mayfly"]
	b.add("`mayfly run` of `true`", ms(own), "1", "", true)
	for _, s := range subjects[1:] {
		m := medians[s.name]
		ratio := float64(own) / float64(m)
		switch s.name {
		case "runc":
			b.add("`runc run` on a prepared rootfs", ms(m), fmt.Sprintf("mayfly takes %.2f x", ratio), "<= 1.6 x", ratio <= 1.6)
		case "docker":
			b.add("`docker run --rm`", ms(m), fmt.Sprintf("mayfly takes 1/%.1f", 1/ratio), "<= 1/7", 1/ratio >= 7)
		default:
			b.add(s.name, ms(m), fmt.Sprintf("mayfly takes 1/%.1f", 1/ratio), "", true)
		}
	}
	return nil
}

// throughput measures runs per second, 16 at a time.
func (b *bench) throughput() error {
	path, err := b.tool("true", trueTool)
	if err != nil {
		return err
	}
	own, err := rate(160, func() error { return b.quiet(b.mayfly("run", "-q", path)) })
	if err != nil {
		return err
	}
	engine, err := b.engineRate(160)
	if err != nil {
		return err
	}
	b.add("runs per second, 16 at a time, a process each", fmt.Sprintf("%.1f/s", own), "", "", true)
	figure := fmt.Sprintf("%.1f/s", engine)
	if !b.docker {
		b.add("runs per second, 16 at a time, one engine process", figure, "", "", true)
		return nil
	}
	docker, err := rate(48, func() error { return b.quiet(b.dockerCommand("run", "--rm", "mayfly/busybox", "true")) })
	if err != nil {
		return err
	}
	b.add("runs per second, 16 at a time, one engine process", figure, fmt.Sprintf("%.1f x docker's %.1f/s", engine/docker, docker), ">= 8 x", engine/docker >= 8)
	return nil
}

// rate calls once n times, 16 at a time, and returns the calls per second.
func rate(n int, once func() error) (float64, error) {
	var all sync.WaitGroup
	jobs := make(chan struct{})
	errs := make(chan error, n)
	begin := time.Now()
	for range 16 {
		all.Go(func() {
			for range jobs {
				if err := once(); err != nil {
					errs <- err
				}
			}
		})
	}
	for range n {
		jobs <- struct{}{}
	}
	close(jobs)
	all.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
		return float64(n) / time.Since(begin).Seconds(), nil
	}
}

// memory measures the resident memory of the shim of an idle tool.
func (b *bench) memory() error {
	path, err := b.tool("sleep", "name: idle\nimage: mayfly/busybox\ncommand: [sleep, \"30\"]\n")
	if err != nil {
		return err
	}
	c := b.mayfly("run", "-q", path)
	if err := c.Start(); err != nil {
		return err
	}
	defer func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}()
	time.Sleep(2 * time.Second)
	shims, err := exec.Command("pgrep", "-P", strconv.Itoa(c.Process.Pid)).Output()
	if err != nil {
		return fmt.Errorf("find the shim: %w", err)
	}
	rss, err := statusKB(strings.TrimSpace(string(shims)), "VmRSS")
	if err != nil {
		return err
	}
	b.add("shim of an idle tool, RSS", fmt.Sprintf("%.1f MiB", float64(rss)/1024), "", "<= 25 MiB", rss <= 25<<10)
	return nil
}

// statusKB returns the value of a field of /proc/PID/status, in KiB.
func statusKB(pid, field string) (int, error) {
	data, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			return strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
		}
	}
	return 0, fmt.Errorf("no %s in /proc/%s/status", field, pid)
}

// logs measures 2 GB of text that is printed through the masking of ten secrets to a file.
func (b *bench) logs() error {
	const size = 2_000_000_000
	// The tool writes large pieces, so that Mayfly's speed is measured and not the tool's.
	text := `name: talker
image: mayfly/python
script: |
  #!/usr/bin/python3
  import os
  line = b"2026-11-23T12:00:00Z INFO request GET /api/v1/pods 200 12ms user=alice@example.com\n"
  piece = (line * 800)[:64000]
  for _ in range(` + strconv.Itoa(size/64000) + `):
      os.write(1, piece)
volumes:
`
	args := []string{"run", "-q"}
	env := os.Environ()
	for i := range 10 {
		text += fmt.Sprintf("  - {name: s%d, secret: s%d}\n", i, i)
		args = append(args, "--secret", fmt.Sprintf("s%d=env:SECRET%d", i, i))
		env = append(env, fmt.Sprintf("SECRET%d=c0rrect-h0rse-battery-%d-staple", i, i))
	}
	path, err := b.tool("talker", text)
	if err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(b.work, "log"))
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	c := b.mayfly(append(args, path)...)
	c.Env, c.Stdout, c.Stderr = env, out, os.Stderr
	begin := time.Now()
	if err := c.Start(); err != nil {
		return err
	}
	peak := 0
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	for waiting := true; waiting; {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			waiting = false
		case <-time.After(20 * time.Millisecond):
			if kb, err := statusKB(strconv.Itoa(c.Process.Pid), "VmHWM"); err == nil {
				peak = max(peak, kb)
			}
		}
	}
	speed := size / time.Since(begin).Seconds() / 1e6
	info, err := out.Stat()
	if err != nil {
		return err
	}
	if info.Size() != size {
		return fmt.Errorf("%d bytes of %d arrived", info.Size(), size)
	}
	b.add("logs through the masking of 10 secrets to a file", fmt.Sprintf("%.0f MB/s", speed), "", ">= 200 MB/s", speed >= 200)
	b.add("`mayfly`, peak RSS meanwhile", fmt.Sprintf("%.1f MiB", float64(peak)/1024), "", "<= 64 MiB", peak <= 64<<10)
	return nil
}

// network measures a download of 1 GB through the userspace network, and one over loopback.
func (b *bench) network() error {
	const size = 1_000_000_000
	chunk := make([]byte, 1<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		for left := size; left > 0; left -= len(chunk) {
			if _, err := w.Write(chunk[:min(len(chunk), left)]); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		return err
	}
	path, err := b.tool("download", "name: download\nimage: mayfly/python\nresources: {cpu: 2}\ncommand: curl -sS -o /dev/null -w '%{speed_download}' http://host.mayfly.internal:"+port+"/\nnetwork: {egress: [{host: host.mayfly.internal}]}\n")
	if err != nil {
		return err
	}
	var own, loopback []float64
	for range 3 {
		out, err := b.mayfly("run", "-q", path).Output()
		if err != nil {
			return fmt.Errorf("download in the sandbox: %w", err)
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return err
		}
		own = append(own, v)
		begin := time.Now()
		resp, err := http.Get(server.URL)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, bufio.NewReaderSize(resp.Body, 1<<20))
		resp.Body.Close()
		if err != nil {
			return err
		}
		loopback = append(loopback, float64(n)/time.Since(begin).Seconds())
	}
	mine, theirs := median(own), median(loopback)
	b.add("download through the userspace network", fmt.Sprintf("%.2f Gbit/s", mine*8/1e9), fmt.Sprintf("%.0f%% of loopback's %.1f Gbit/s", 100*mine/theirs, theirs*8/1e9), ">= 15%", mine/theirs >= 0.15)
	return nil
}

// pull times the pull of an image from a local registry and one run of it, with an empty store each time.
func (b *bench) pull() error {
	server := httptest.NewServer(registry.New(registry.Logger(discardLog())))
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/mayfly/python:latest"
	if err := imagetest.PushArchive(b.archive("python"), ref); err != nil {
		return err
	}
	path, err := b.tool("pull", "name: pull\nimage: "+ref+"\ncommand: [\"true\"]\n")
	if err != nil {
		return err
	}
	var own, docker []float64
	for i := range 5 {
		c := b.mayfly("run", "-q", path)
		home := filepath.Join(b.work, fmt.Sprintf("pull-home-%d", i))
		c.Env = append(os.Environ(), "MAYFLY_HOME="+home)
		unix.Sync() // a pull flushes the whole file system, and what others left there isn't its work
		begin := time.Now()
		if err := b.quiet(c); err != nil {
			return err
		}
		own = append(own, time.Since(begin).Seconds())
		if err := os.RemoveAll(home); err != nil {
			return err
		}
		if !b.docker {
			continue
		}
		// Docker must not find the layers of the image that was loaded.
		_ = b.dockerCommand("rmi", "-f", ref, "mayfly/python").Run()
		unix.Sync()
		begin = time.Now()
		if err := b.quiet(b.dockerCommand("run", "--rm", ref, "true")); err != nil {
			return err
		}
		docker = append(docker, time.Since(begin).Seconds())
	}
	figure := fmt.Sprintf("%.2f s", median(own))
	if !b.docker {
		b.add("pull and first run from a local registry", figure, "", "", true)
		return nil
	}
	ratio := median(own) / median(docker)
	b.add("pull and first run from a local registry", figure, fmt.Sprintf("%.2f x docker's %.2f s", ratio, median(docker)), "<= 0.7 x", ratio <= 0.7)
	return nil
}
