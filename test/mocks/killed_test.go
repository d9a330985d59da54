//go:build linux

package mocks

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// specEnv names the environment variable with a spec, for a process that runs the spec in place of mayfly until it is killed.
const specEnv = "MAYFLY_TEST_SPEC"

type given struct {
	Spec  *engine.Spec
	Local engine.Local
}

// TestRunSpec is the program of that process. Otherwise it does nothing.
func TestRunSpec(t *testing.T) {
	text := os.Getenv(specEnv)
	if text == "" {
		return
	}
	var given given
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		t.Fatal(err)
	}
	s, err := testbed.Engine(t).Start(context.Background(), given.Spec, given.Local, engine.Streams{Stdout: os.Stdout})
	if err != nil {
		t.Fatal(err)
	}
	for range s.Events() {
	}
	_, _ = s.Wait()
	_ = s.Close()
}

// TestI18_KilledWithMocks kills the process in place of mayfly, the shim, or both, while a tool is in the middle of a mocked
// command, of a connection over the network and of one over the loopback. Nothing may be left on the host, and the mocks'
// connections must end.
func TestI18_KilledWithMocks(t *testing.T) {
	l := newLab(t)
	for _, kinds := range [][]string{{"mayfly"}, {"shim"}, {"mayfly", "shim"}, {"shim", "mayfly"}} {
		t.Run(strings.Join(kinds, " and "), func(t *testing.T) {
			ended := make(chan string, 3)
			await := func(what string, r io.Reader) {
				_, _ = io.Copy(io.Discard, r)
				ended <- what
			}
			s := newServer(t, func(c *connection) {
				_, _ = io.WriteString(c, "here\n")
				await("connection", c)
			}, func(c *command) {
				c.stdout("here\n")
				await("command", c.UnixConn)
			})
			l := &lab{t: t, engine: l.engine, image: l.image}
			spec := l.spec(s, public, "sh", "-c", "sleep 300 | kubectl & sleep 300 | nc localhost 80 & sleep 300 | nc api.example 80 & wait")
			spec.Mocks.Loopback, spec.Mocks.Commands = all, []string{"kubectl"}
			text, err := json.Marshal(given{spec, l.local(spec)})
			if err != nil {
				t.Fatal(err)
			}
			mayfly := exec.Command("/proc/self/exe", "-test.run=^TestRunSpec$")
			mayfly.Env = append(os.Environ(), specEnv+"="+string(text))
			out, err := mayfly.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := mayfly.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for i := 0; i < 3 && lines.Scan(); {
				if lines.Text() == "here" {
					i++
				}
			}
			pids := map[string]int{"mayfly": mayfly.Process.Pid, "shim": child(t, mayfly.Process.Pid)}
			for _, kind := range kinds {
				if err := syscall.Kill(pids[kind], syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					t.Fatal(err)
				}
			}
			_, _ = io.Copy(io.Discard, out)
			_ = mayfly.Wait()
			for range 3 {
				select {
				case <-ended:
				case <-time.After(patience):
					t.Fatal("the mocks' sockets don't end")
				}
			}
			// The sweep of the next start removes what a killed process couldn't remove.
			for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
				if err := l.engine.Sweep(); err != nil {
					t.Fatal(err)
				}
				found, err := testbed.Leftovers()
				if err != nil {
					t.Fatal(err)
				}
				left := ""
				for what := range found {
					if strings.Contains(what, spec.ID) || strings.Contains(what, fmt.Sprint("process ", pids["shim"], " ")) {
						left = what
					}
				}
				if left == "" {
					break
				}
				if time.Now().After(end) {
					t.Fatal("left: ", left)
				}
			}
		})
	}
}

// child returns the only child of a process.
func child(t *testing.T, parent int) int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			pid, err := strconv.Atoi(fields[0])
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("process %d has no child", parent)
	return 0
}
