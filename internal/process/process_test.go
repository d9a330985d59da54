//go:build linux

package process

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestDescribe(t *testing.T) {
	c := exec.CommandContext(t.Context(), "sleep", "300")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	want := func(pattern string) {
		t.Helper()
		re := regexp.MustCompile(pattern)
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			got := Describe(pid)
			if re.MatchString(got) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("got %q, want a match of %s", got, pattern)
			}
		}
	}
	want(`^sleep \(process ` + strconv.Itoa(pid) + `\) is asleep \(S\)( in \w+)?$`)
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	want(`is stopped \(T\)`)
	if Stuck(pid) {
		t.Error("a stopped process counts as stuck")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	want(`is a zombie`)
	_ = c.Wait()
	if got := Describe(pid); got != "" {
		t.Errorf("a process that has ended: got %q, want nothing", got)
	}
	if got := Describe(os.Getpid(), os.Getpid()); !strings.Contains(got, "process") || strings.Contains(got, ";") {
		t.Errorf("this process, given twice: got %q, want it once", got)
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := NewDeadline(time.Second, func() { t.Error("the deadline passed after Stop") })
		stopped.Stop()
		stopped.Stop()
		(*Deadline)(nil).Stop()

		started := time.Now()
		came := make(chan time.Duration, 1)
		newDeadline(time.Second, func() float64 { return 3 }, func() { came <- time.Since(started) })
		if after := <-came; after < 3*time.Second || after > 4*time.Second {
			t.Errorf("at a load of 3 the deadline passed after %s, want 3s to 4s", after)
		}
	})
	late, stop := Late(time.Millisecond)
	defer stop()
	select {
	case <-late:
	case <-time.After(time.Minute):
		t.Error("the deadline didn't pass within a minute")
	}
}
