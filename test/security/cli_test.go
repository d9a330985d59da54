//go:build linux

package security

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/test/testbed"
)

const cliImage = "test.invalid/attacker:1"

// cli is the built mayfly with its own home, which has the attacker's image.
type cli struct {
	t      *testing.T
	canary *canary
	home   string
	tools  string // the folder of definitions
	run    string // the directory of live runs
	uid    string // the user id of an ordinary user, otherwise ""
	prefix []string
	env    []string
}

func newCLI(t *testing.T, files ...imagetest.File) *cli {
	t.Helper()
	c := &cli{t: t, canary: newCanary(t), home: t.TempDir(), tools: t.TempDir(), run: "/run/mayfly"}
	c.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "MAYFLY_HOME=" + c.home, "MAYFLY_POLICY=" + testbed.EmptyPolicy(t, c.home)}
	c.load(files...)
	return c
}

func (c *cli) load(files ...imagetest.File) {
	c.t.Helper()
	archive := filepath.Join(c.tools, "image.tar")
	data := imagetest.DockerArchive(c.t, cliImage, imagetest.Config{}, imagetest.BusyboxLayer(c.t), attackerLayer(c.t, files...))
	if err := os.WriteFile(archive, data, 0o644); err != nil {
		c.t.Fatal(err)
	}
	if out, err := c.command("image", "load", "--input", archive).CombinedOutput(); err != nil {
		c.t.Fatalf("image load: %v: %s", err, out)
	}
}

// command returns a mayfly command, to run in the folder of the definitions.
func (c *cli) command(args ...string) *exec.Cmd {
	argv := append(append([]string{}, c.prefix...), filepath.Join(testbed.Bin(c.t), "mayfly"))
	if len(c.prefix) > 0 {
		argv = c.prefix // its last word is the user's copy of mayfly
	}
	argv = append(append([]string{}, argv...), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = c.env
	cmd.Dir = c.tools
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// tool writes a definition with the attacker's image and returns its path. rest is the rest of the definition, as YAML.
func (c *cli) tool(name, rest string) string {
	c.t.Helper()
	path := filepath.Join(c.tools, name+".yaml")
	if err := os.WriteFile(path, []byte("name: "+name+"\nimage: "+cliImage+"\nnetwork: none\n"+rest), 0o644); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// done is the result of a command.
type done struct {
	stdout, stderr string
	code           int
}

// mayfly runs a command to its end.
func (c *cli) mayfly(args ...string) done {
	c.t.Helper()
	cmd := c.command(args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	timer := time.AfterFunc(testbed.Patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Run()
	timer.Stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("mayfly %v: %v", args, err)
	}
	return done{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// cliRun is a running `mayfly run --json`.
type cliRun struct {
	c   *cli
	cmd *exec.Cmd
	id  string
	// stdin is the tool's standard input, with -i.
	stdin io.WriteCloser
	log   *output // the tool's output, from the events
	end   chan struct{}
}

// startRun starts a run and waits until the tool has printed text.
func (c *cli) startRun(path, text string, flags ...string) *cliRun {
	c.t.Helper()
	r := c.launch(path, flags...)
	r.log.until(c.t, text)
	return r
}

func (c *cli) launch(path string, flags ...string) *cliRun {
	c.t.Helper()
	r := &cliRun{c: c, cmd: c.command(append([]string{"run", path, "--json"}, flags...)...), log: newOutput(), end: make(chan struct{})}
	pipe, err := r.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		c.t.Fatal(err)
	}
	r.cmd.Stderr = r.log
	if err := r.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = r.cmd.Process.Kill(); r.wait() })
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 1<<20)
	ids := make(chan string, 1)
	go func() {
		defer close(r.end)
		first := true
		for lines.Scan() {
			var e run.Event
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				continue
			}
			if first {
				ids <- e.Run
				first = false
			}
			if e.Log != nil {
				_, _ = r.log.Write(e.Log.Bytes()) // never fails
			}
		}
		_ = r.cmd.Wait()
	}()
	select {
	case r.id = <-ids:
	case <-time.After(testbed.Patience):
		c.t.Fatalf("mayfly run says nothing: %s", r.log)
	case <-r.end:
		c.t.Fatalf("mayfly run ended: %s", r.log)
	}
	return r
}

func (r *cliRun) wait() {
	r.c.t.Helper()
	select {
	case <-r.end:
	case <-time.After(testbed.Patience):
		r.c.t.Fatalf("mayfly run doesn't end: %s", r.log)
	}
}

// process finds a process of the run: "shim", "holder" or "tool".
func (r *cliRun) process(kind string) int {
	r.c.t.Helper()
	tools := pidsOf(r.c.t, r.id)
	if len(tools) == 0 {
		r.c.t.Fatalf("run %s has no processes", r.id)
	}
	if kind == "tool" {
		return tools[0]
	}
	shim := 0
	for _, pid := range tools {
		if parent := parentOf(pid); commandOf(parent) == "mayfly-shim" {
			shim = parent
		}
	}
	if shim == 0 {
		r.c.t.Fatalf("run %s has no shim", r.id)
	}
	if kind == "shim" {
		return shim
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", shim, shim))
	if err != nil {
		r.c.t.Fatal(err)
	}
	for child := range strings.FieldsSeq(string(children)) {
		var pid int
		if _, err := fmt.Sscan(child, &pid); err == nil && commandOf(pid) == "mayfly-init" {
			return pid
		}
	}
	r.c.t.Fatalf("run %s has no holder", r.id)
	return 0
}

// commandOf returns the name that a process was started as, or "" if the process has ended, even if its parent hasn't reaped it
// yet.
func commandOf(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(data) == 0 {
		return ""
	}
	name, _, _ := strings.Cut(string(data), "\x00")
	return filepath.Base(name)
}

// nothingLeft waits until nothing is left of a run and none of the other processes exists, and otherwise fails the test.
func (r *cliRun) nothingLeft(others ...int) {
	r.c.t.Helper()
	var left []string
	for end := time.Now().Add(testbed.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left = leftOf(r.c.t, r.c.run, r.id)
		for _, pid := range others {
			if name := commandOf(pid); name != "" {
				left = append(left, fmt.Sprintf("process %d %s", pid, name))
			}
		}
		if len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		r.c.t.Errorf("left of run %s: %v", r.id, left)
	}
}

// filesBelow calls visit with every file below the directories. It visits a file with several names, such as busybox, once.
func filesBelow(t *testing.T, visit func(path string, data []byte), dirs ...string) {
	t.Helper()
	type inode struct{ device, number uint64 }
	seen := map[inode]bool{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			f, err := os.Open(p)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it was removed meanwhile
			}
			if err != nil {
				return err
			}
			defer f.Close()
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil {
				return err
			}
			if node := (inode{st.Dev, st.Ino}); st.Nlink > 1 {
				if seen[node] {
					return nil
				}
				seen[node] = true
			}
			data, err := io.ReadAll(f)
			if err == nil {
				visit(p, data)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
