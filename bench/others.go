//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func (b *bench) dockerSocket() string { return filepath.Join(b.work, "docker.sock") }

func (b *bench) dockerCommand(args ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"-H", "unix://" + b.dockerSocket()}, args...)...)
}

var daemon *exec.Cmd

// startDocker starts a separate docker daemon for the session, if docker is installed, and loads the images into it.
func (b *bench) startDocker() error {
	path, err := exec.LookPath("dockerd")
	if errors.Is(err, exec.ErrNotFound) {
		fmt.Fprintln(os.Stderr, "docker is not installed: its columns are left out")
		return nil
	}
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(b.work, "dockerd.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	daemon = exec.Command(path, "--data-root", filepath.Join(b.work, "docker"), "--exec-root", filepath.Join(b.work, "docker-exec"),
		"--pidfile", filepath.Join(b.work, "docker.pid"), "-H", "unix://"+b.dockerSocket())
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if b.dockerCommand("info").Run() == nil {
			break
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("dockerd doesn't start:\n%s", text)
		}
	}
	b.docker = true
	for _, image := range []string{"busybox", "python"} {
		if err := b.quiet(b.dockerCommand("load", "-i", b.archive(image))); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) stopDocker() {
	if daemon == nil {
		return
	}
	_ = daemon.Process.Signal(syscall.SIGTERM)
	_ = daemon.Wait()
}

// preparePodman finds a runtime that works with podman here: Debian 12's crun refuses hybrid cgroups.
func (b *bench) preparePodman() error {
	path, err := exec.LookPath("podman")
	if errors.Is(err, exec.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	base := []string{path, "--root", filepath.Join(b.work, "podman"), "--runroot", filepath.Join(b.work, "podman-run"), "--cgroup-manager", "cgroupfs"}
	for _, runtime := range []string{"crun", "runc"} {
		try := append(append([]string{}, base...), "--runtime", runtime)
		if exec.Command(try[0], append(try[1:], "load", "-i", b.archive("busybox"))...).Run() != nil {
			continue
		}
		if exec.Command(try[0], append(try[1:], "run", "--rm", "--network", "none", "mayfly/busybox", "true")...).Run() == nil {
			b.podman = strings.Join(try, " ")
			return nil
		}
	}
	fmt.Fprintln(os.Stderr, "podman runs with neither crun nor runc here: its column is left out")
	return nil
}

func (b *bench) podmanCommand(args ...string) *exec.Cmd {
	words := strings.Fields(b.podman)
	return exec.Command(words[0], append(words[1:], args...)...)
}

// prepareRunc makes a bundle whose root file system is already unpacked.
func (b *bench) prepareRunc() error {
	if _, err := exec.LookPath("runc"); errors.Is(err, exec.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	out, err := b.mayfly("image", "inspect", "mayfly/busybox").Output()
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(out), `"path": "`)
	layer, _, found := strings.Cut(rest, `"`)
	if !found {
		return fmt.Errorf("no layer in %s", out)
	}
	bundle := filepath.Join(b.work, "bundle")
	if err := os.Mkdir(bundle, 0o700); err != nil {
		return err
	}
	if err := b.quiet(exec.Command("cp", "-a", layer, filepath.Join(bundle, "rootfs"))); err != nil {
		return err
	}
	spec := exec.Command("runc", "spec")
	spec.Dir = bundle
	if err := b.quiet(spec); err != nil {
		return err
	}
	config := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	edited := strings.NewReplacer(`"terminal": true`, `"terminal": false`, `"sh"`, `"true"`).Replace(string(text))
	b.bundle = bundle
	return os.WriteFile(config, []byte(edited), 0o600)
}

func (b *bench) runcCommand(id string) *exec.Cmd {
	c := exec.Command("runc", "run", id)
	c.Dir = b.bundle
	return c
}
