//go:build linux

package server

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBackup backs a server up while tools are pushed and run, and starts another one with it elsewhere: all that was accepted before is
// there, its secrets too, and it goes on.
func TestBackup(t *testing.T) {
	s := newSite(t)
	s.write("t.yaml", "name: t\nimage: busybox\nvolumes: [{name: token, secret: token}]\ncommand: [sh, -c, \"cut -c 2- /secrets/token\"]\n")
	s.must("tool", "push", "t.yaml")
	c := s.mayfly("secret", "set", "token")
	c.Stdin = strings.NewReader("xvisible\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("set: %q, %v", out, err)
	}
	first := strings.TrimSpace(s.must("run", "t", "--detach"))
	stop := make(chan struct{})
	var load sync.WaitGroup
	halt := sync.OnceFunc(func() {
		close(stop)
		load.Wait()
	})
	t.Cleanup(halt)
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if out, err := s.mayfly("run", "t").CombinedOutput(); err != nil {
					t.Errorf("a run during the backup: %s, %v", out, err)
					return
				}
			}
		}
	})
	if a := s.run("logs", "-f", first); a.status != 0 || a.out != "visible\n" {
		t.Fatalf("the first run: %+v", a)
	}
	plain, all := filepath.Join(s.dir, "plain.mfb"), filepath.Join(s.dir, "all.mfb")
	if a := s.run("server", "backup", plain, "--data", s.data); a.status != 0 || !strings.HasPrefix(a.out, plain+": ") || !strings.Contains(a.out, ", the server as of ") ||
		!strings.Contains(a.err, "WARNING: the backup has no keys. Keep a copy of "+s.data+"/keys elsewhere") {
		t.Errorf("a backup without keys: %+v", a)
	}
	out, err := os.OpenFile(all, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	c = s.mayfly("server", "backup", "-", "--data", s.data, "--with-keys")
	var said strings.Builder
	c.Stdout, c.Stderr = out, &said
	if err := c.Run(); err != nil || out.Close() != nil || !strings.Contains(said.String(), "whoever reads it can open all of them") {
		t.Fatalf("a backup with keys: %v, %s", err, said.String())
	}
	halt()
	s.must("run", "t") // the server still serves
	for _, file := range []string{plain, all} {
		if info, err := os.Stat(file); err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", file, info.Mode())
		}
	}
	if a := s.run("server", "restore", all, "--data", s.data); a.status != 125 || !strings.Contains(a.err, s.data+" isn't empty") {
		t.Errorf("restored over a server: %+v", a)
	}
	if a := s.run("server", "restore", plain, "--data", filepath.Join(s.dir, "plain")); a.status != 0 || !strings.Contains(a.err, "WARNING: the backup has no keys. Before you start it") {
		t.Errorf("restored without keys: %+v", a)
	}
	if a := s.run("server", "backup", plain, "--data", s.dir); a.status != 125 || !strings.Contains(a.err, "pg_dump") {
		t.Errorf("a backup of a server without SQLite: %+v", a)
	}
	s.end()
	s.data = filepath.Join(s.dir, "new", "data")
	s.must("server", "restore", all, "--data", s.data)
	s.start() // with the certificate and the token of the old one, so that nobody has to log in again
	if a := s.run("logs", first); a.status != 0 || a.out != "visible\n" {
		t.Errorf("the first run's log on the new server: %+v", a)
	}
	if a := s.run("run", "t"); a.status != 0 || a.out != "visible\n" {
		t.Errorf("a new run on the new server: %+v", a)
	}
	if a := s.run("audit", "verify"); a.status != 0 {
		t.Errorf("the audit log of the new server: %+v", a)
	}
}

// end ends the server gracefully.
func (s *site) end() {
	s.t.Helper()
	if err := s.process.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Wait(); err != nil {
		s.t.Fatalf("the server ends with %v: %s", err, s.log)
	}
}

// TestMetricsListen reads the metrics of a server, which are at their own address only.
func TestMetricsListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, "--metrics-listen", address)
	s.must("runner", "ls")
	get := func(url string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	connected := `mayfly_runners{pool="default",state="ready"} 1`
	for end := time.Now().Add(patience); !strings.Contains(get("http://"+address+"/metrics"), connected); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the runner isn't counted: %s", get("http://"+address+"/metrics"))
		}
	}
	if text := get("http://" + address + "/metrics"); !strings.Contains(text, `operation="list-runners"`) || strings.Contains(text, "mfly_") {
		t.Errorf("the metrics: %s", text)
	}
}
