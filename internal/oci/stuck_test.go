//go:build linux

package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// stuckEngine returns an engine whose shim is a shell script that doesn't answer, and a spec for it.
func stuckEngine(t *testing.T, script string) (e *Engine, spec *engine.Spec) {
	t.Helper()
	dir := t.TempDir()
	shim := filepath.Join(dir, "shim")
	if err := os.WriteFile(shim, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	e = New(shim, filepath.Join(dir, "run"), nil)
	e.patience = patience{start: time.Hour, end: time.Hour, cleanup: 100 * time.Millisecond, giveUp: time.Minute, kill: time.Minute}
	return e, &engine.Spec{
		ID: "stuck-" + strconv.FormatInt(time.Now().UnixNano(), 10), Args: []string{"true"},
		Resources: engine.Resources{CPU: 1000, Memory: 64 << 20, Disk: 64 << 20, PIDs: 64},
		Network:   network.Policy{Mode: network.ModeNone},
	}
}

func nothingLeft(t *testing.T, e *Engine) {
	t.Helper()
	if left, err := os.ReadDir(e.runsDir()); err != nil || len(left) > 0 {
		t.Errorf("left in the directory of runs: got %v, %v, want nothing", left, err)
	}
}

// TestStuckShim cancels a start whose shim doesn't react.
func TestStuckShim(t *testing.T) {
	e, spec := stuckEngine(t, "exec sleep 300")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := e.Start(ctx, spec, engine.Local{}, engine.Streams{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	nothingLeft(t, e)
}

// TestI25_AStartHasADeadline: a start that isn't cancelled ends too, with an error that says what it waited for.
func TestI25_AStartHasADeadline(t *testing.T) {
	e, spec := stuckEngine(t, "exec sleep 300")
	e.patience.start = 100 * time.Millisecond
	_, err := e.Start(t.Context(), spec, engine.Local{}, engine.Streams{})
	if err == nil || !regexp.MustCompile(`the sandbox didn't start in .*\(process \d+\) is `).MatchString(err.Error()) {
		t.Error(err)
	}
	nothingLeft(t, e)
}

// TestI25_WhatCantBeKilled freezes a shim. On cgroup v1 a frozen process ignores
// SIGKILL, like a process that waits in the kernel. The start ends anyway, doctor
// names the process, and other runs start.
func TestI25_WhatCantBeKilled(t *testing.T) {
	freezer := filepath.Join(cgroupRoot, "freezer", "mayfly-test-"+strconv.Itoa(os.Getpid()))
	if v2, err := unified(); err != nil || v2 {
		freezer = filepath.Join(cgroupRoot, "mayfly-test-"+strconv.Itoa(os.Getpid())) // on v2 the process ends, and nothing is left
	}
	if err := os.Mkdir(freezer, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(freezer, name), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	v1 := filepath.Base(filepath.Dir(freezer)) == "freezer"
	file, frozen, thawed := "freezer.state", "FROZEN", "THAWED"
	if !v1 {
		file, frozen, thawed = "cgroup.freeze", "1", "0"
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	e, spec := stuckEngine(t, "echo $$ > "+pidFile+".new; mv "+pidFile+".new "+pidFile+"; exec sleep 300")
	if v1 {
		e.patience.kill = 100 * time.Millisecond
	}
	// The start's deadline is long after the freeze.
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() {
		for ctx.Err() == nil {
			if pid, err := os.ReadFile(pidFile); err == nil {
				_ = os.WriteFile(filepath.Join(freezer, "cgroup.procs"), pid, 0)
				_ = os.WriteFile(filepath.Join(freezer, file), []byte(frozen), 0)
				cancel(errors.New("enough"))
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	thaw := func() {
		write(file, thawed)
		for end := time.Now().Add(time.Minute); unix.Rmdir(freezer) != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%s can't be removed", freezer)
				break
			}
		}
	}
	_, err := e.Start(ctx, spec, engine.Local{}, engine.Streams{})
	if err == nil || !strings.Contains(err.Error(), "enough") {
		thaw()
		t.Fatal(err)
	}
	if v1 {
		if !strings.Contains(err.Error(), "a killed process doesn't end: ") {
			t.Error(err)
		}
		if stuck, err := e.stuckRuns(); err != nil || len(stuck) != 1 || !strings.Contains(stuck[0], "run "+spec.ID+": ") || !strings.Contains(stuck[0], "(D) in ") {
			t.Errorf("stuck runs: got %q, %v, want %s with its state", stuck, err, spec.ID)
		}
		// Another run starts, and isn't delayed by this one.
		e.patience.kill = time.Minute
		next := *spec
		next.ID += "-next"
		e.patience.start = 100 * time.Millisecond
		if _, err := e.Start(t.Context(), &next, engine.Local{}, engine.Streams{}); err == nil || !strings.Contains(err.Error(), "didn't start in") {
			t.Error(err)
		}
	}
	thaw()
	if err := e.Sweep(); err != nil {
		t.Error(err)
	}
	nothingLeft(t, e)
}

// TestOnlyWhatDoesNotEndIsGivenUp: only processes that don't end are given up. After another error, such as that of a cgroup
// that can't be read, the next sweep waits for the processes.
func TestOnlyWhatDoesNotEndIsGivenUp(t *testing.T) {
	unreadable := t.TempDir()
	if err := os.Mkdir(filepath.Join(unreadable, "cgroup.procs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		why  error
		want bool
	}{
		"a cgroup that can't be read":  {killIn("x", []string{unreadable}, time.Minute, nil), false},
		"a process that doesn't end":   {fmt.Errorf("run x: %w", newStuckError("x", []int{1})), true},
		"a process and another reason": {errors.Join(errors.New("x"), newStuckError("x", []int{1})), true},
	} {
		lock, err := os.Create(filepath.Join(t.TempDir(), "lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		d := &runDir{lock: lock}
		if tc.why == nil {
			t.Errorf("%s: no error", name)
		}
		if err := d.giveUp(tc.why); err != nil {
			t.Error(err)
		}
		if got, err := d.givenUp(); err != nil || got != tc.want {
			t.Errorf("%s: given up: got %v, %v, want %v", name, got, err, tc.want)
		}
	}
}
