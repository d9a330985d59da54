//go:build linux

// Package web tests the pages in a browser, with the built server and real sandboxes. The tests themselves are in web/test; this package gives them a
// server, starts and stops it when they ask for it, and looks that nothing is left.
package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// patience is how long the server may take for its start and its end.
const patience = 2 * time.Minute

// TestPages runs the tests of web/test, with MAYFLY_WEB_TESTS as their file if it is set.
func TestPages(t *testing.T) {
	s := &site{bin: testbed.Bin(t), dir: t.TempDir()}
	s.load(t)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log.String())
		}
	})
	control := httptest.NewServer(s)
	t.Cleanup(control.Close)
	args := []string{"vitest", "run", "--config", "vitest.browser.config.ts"}
	if only := os.Getenv("MAYFLY_WEB_TESTS"); only != "" {
		args = append(args, strings.Fields(only)...)
	}
	c := exec.Command("npx", args...) //nolint:gosec // whoever runs the tests chooses them
	c.Dir = filepath.Join(testbed.Root(), "web")
	c.Env = append(os.Environ(), "MAYFLY_CONTROL="+control.URL, "MAYFLY_BIN="+s.bin, "MAYFLY_HOME="+s.home(), "MAYFLY_DIR="+s.dir)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }() // a browser of a test that failed
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// site is a server with a runner, whose data are in one folder.
type site struct {
	bin, dir string
	mu       sync.Mutex
	url      string
	process  *exec.Cmd
	ended    chan error
	log      testbed.Output
}

func (s *site) data() string { return filepath.Join(s.dir, "data") }
func (s *site) home() string { return filepath.Join(s.dir, "home") }

// load puts the image of the tools into the runner's store.
func (s *site) load(t *testing.T) {
	t.Helper()
	store, err := image.Open(filepath.Join(s.home(), "images"), image.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	archive := imagetest.DockerArchive(t, "busybox:latest", imagetest.Config{Env: []string{"PATH=/bin"}}, imagetest.BusyboxLayer(t))
	if _, err := store.Load(t.Context(), bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
}

// start starts the server, on the port that it had before, if any.
func (s *site) start() error {
	listen := "127.0.0.1:0"
	if s.url != "" {
		listen = strings.TrimPrefix(s.url, "https://")
	}
	c := exec.Command(filepath.Join(s.bin, "mayfly"), "server", "--with-runner", "--name", "here", "--data", s.data(), "--listen", listen)
	c.Env = append(os.Environ(), "MAYFLY_HOME="+s.home())
	c.Stderr = &s.log
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "listens at "); ok {
			s.url = url
		}
		if strings.HasPrefix(lines.Text(), "Log in: ") {
			s.process, s.ended = c, make(chan error, 1)
			go func() { s.ended <- c.Wait() }()
			return nil
		}
	}
	return fmt.Errorf("the server doesn't start: %w\n%s", c.Wait(), s.log.String())
}

// stop ends the server with a signal, if it runs.
func (s *site) stop(signal syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	err := s.process.Process.Signal(signal)
	select {
	case ended := <-s.ended:
		if signal == syscall.SIGTERM {
			err = errors.Join(err, ended)
		}
	case <-time.After(patience):
		err = errors.Join(err, errors.New("the server doesn't end"), s.process.Process.Kill(), <-s.ended)
	}
	s.process = nil
	return err
}

// ServeHTTP does what a test asks for: POST /start, /stop, /kill. Any of them, and GET /, says where the server is and what its administrator's token is.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	switch r.URL.Path {
	case "/start":
		err = s.start()
	case "/stop":
		err = s.stop(syscall.SIGTERM)
	case "/kill":
		err = s.stop(syscall.SIGKILL)
	}
	token, readErr := os.ReadFile(filepath.Join(s.data(), "admin-token"))
	if err = errors.Join(err, readErr); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"url": s.url, "token": strings.TrimSpace(string(token))}) // the test has its own time limits
}
