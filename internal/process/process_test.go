//go:build linux

package process

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
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
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			got := Describe(pid)
			if re.MatchString(got) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%q, want %s", got, pattern)
			}
		}
	}
	want(`^sleep \(process ` + strconv.Itoa(pid) + `\) is asleep \(S\)( in \w+)?$`)
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	want(`is stopped \(T\)`)
	if Stuck(pid) {
		t.Error("it counts as stuck")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	want(`is a zombie`)
	_ = c.Wait()
	if got := Describe(pid); got != "" {
		t.Errorf("of no process: %q", got)
	}
	if got := Describe(os.Getpid(), os.Getpid()); regexp.MustCompile(`process`).FindAllString(got, -1) == nil || regexp.MustCompile(`;`).MatchString(got) {
		t.Errorf("of this one, twice: %q", got)
	}
}

func TestDeadline(t *testing.T) {
	late := make(chan struct{})
	NewDeadline(time.Millisecond, func() { close(late) })
	select {
	case <-late:
	case <-time.After(time.Minute):
		t.Error("it never came")
	}
	stopped := make(chan struct{})
	d := NewDeadline(time.Hour, func() { close(stopped) })
	d.Stop()
	d.Stop()
	(*Deadline)(nil).Stop()
}
