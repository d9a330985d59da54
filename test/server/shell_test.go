//go:build linux

package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
)

// keptTool fails, and leaves a file.
const keptTool = "name: failing\nimage: busybox\nscript: |\n  #!/bin/sh\n  echo \"left by $WHO\" > /tmp/x\n  exit 7\nargs: [{name: who, default: it}]\n"

// fail has a run fail whose sandbox is kept, and returns it as it is then.
func (s *site) fail(c *api.Client) *api.Run {
	s.t.Helper()
	one, err := c.CreateRun(s.t.Context(), "default", &api.NewRun{Tool: "failing", KeepOnFailure: true})
	if err != nil {
		s.t.Fatal(err)
	}
	var result run.Result
	err = c.Follow(s.t.Context(), "default", one.ID, 0, func(e run.Event) {
		if e.Result != nil {
			result = *e.Result
		}
	}, nil)
	if err != nil || result.ExitCode != 7 || !result.Kept || result.KeptID == "" {
		s.t.Fatalf("%+v, %v", result, err)
	}
	got, err := c.Run(s.t.Context(), "default", one.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// keptHere are those of some runs whose sandboxes are kept. This machine may keep others, of other tests.
func (s *site) keptHere(of ...string) (ids []string) {
	s.t.Helper()
	var all []engine.Kept
	if err := json.Unmarshal([]byte(s.must("shell", "--json")), &all); err != nil {
		s.t.Fatal(err)
	}
	for _, k := range all {
		if slices.Contains(of, k.ID) {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// shell is a shell that a test uses.
type shell struct {
	t *testing.T
	api.ShellConn
	printed strings.Builder
	exit    *api.ShellExit
}

func openShell(t *testing.T, c *api.Client, id string) *shell {
	t.Helper()
	conn, err := c.Shell(t.Context(), "default", id, api.ShellSize{Columns: 90, Rows: 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &shell{t: t, ShellConn: conn}
}

func (s *shell) types(text string) {
	s.t.Helper()
	if err := s.Send(s.t.Context(), api.ShellFrame{Data: []byte(text)}); err != nil {
		s.t.Fatal(err)
	}
}

// until reads until a text was printed, or with "" until the shell has ended.
func (s *shell) until(text string) {
	s.t.Helper()
	ctx, late := context.WithTimeout(s.t.Context(), patience)
	defer late()
	for s.exit == nil && (text == "" || !strings.Contains(s.printed.String(), text)) {
		f, err := s.Receive(ctx)
		if err != nil {
			s.t.Fatalf("%v; it has printed %q, and waits for %q", err, s.printed.String(), text)
		}
		s.printed.Write(f.Data)
		if f.Control != nil {
			s.exit = f.Control.Exit
		}
	}
	if text != "" && !strings.Contains(s.printed.String(), text) {
		s.t.Fatalf("it has ended, %+v, and printed %q, not %q", s.exit, s.printed.String(), text)
	}
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for begin := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// TestShell opens shells in the sandbox of a run that failed, which a runner in the server's process, and one elsewhere, keeps.
func TestShell(t *testing.T) {
	t.Run("beside", func(t *testing.T) {
		s := newSite(t)
		runs := s.useShell()
		terminate(s.process) // ends
		if kept := s.keptHere(runs...); len(kept) > 0 {
			t.Errorf("the server has left %q", kept)
		}
	})
	t.Run("elsewhere", func(t *testing.T) {
		s := newServer(t)
		r := s.remote("r", "default", t.TempDir()).start()
		runs := s.useShell()
		s.drain("r", r)
		if kept := s.keptHere(runs...); len(kept) > 0 {
			t.Errorf("the runner has left %q", kept)
		}
	})
}

// useShell returns the runs whose sandboxes were kept. A shell is open in the last one.
func (s *site) useShell() (runs []string) {
	t, c := s.t, s.client()
	t.Helper()
	s.write("failing.yaml", keptTool)
	s.must("tool", "push", "failing.yaml")
	one := s.fail(c)
	if left := time.Until(one.KeptUntil); left <= 0 || left > 30*time.Minute {
		t.Errorf("it is kept until %s", one.KeptUntil)
	}
	if kept := s.keptHere(one.ID); len(kept) != 1 {
		t.Errorf("kept are %q", kept)
	}
	sh := openShell(t, c, one.ID)
	sh.types("cat /tmp/x; stty size\n")
	sh.until("left by it\r\n30 90\r\n")
	if err := sh.Send(t.Context(), api.ShellFrame{Control: &api.ShellControl{Resize: &api.ShellSize{Columns: 101, Rows: 41}}}); err != nil {
		t.Fatal(err)
	}
	// The size comes by a way of its own, so it may be there a moment after the next input.
	sh.types("until [ \"$(stty size)\" = '41 101' ]; do sleep 0.1; done; echo re\"\"sized\n")
	sh.until("resized\r\n")
	second := openShell(t, c, one.ID)
	second.until("")
	if !strings.Contains(second.exit.Reason, "only one can be") {
		t.Errorf("a second shell ends with %+v", second.exit)
	}
	sh.types("exit 5\n")
	sh.until("")
	if sh.exit.Code != 5 || sh.exit.Reason != "" {
		t.Errorf("it ends with %+v", sh.exit)
	}
	// The connection breaks while something runs: it ends, and there is room for the next shell.
	broken := openShell(t, c, one.ID)
	broken.types("echo b\"\"egun; sleep 1000\n")
	broken.until("begun")
	if err := broken.Close(); err != nil {
		t.Logf("close: %v", err)
	}
	waitUntil(t, "the next shell has room", func() bool {
		next := openShell(t, c, one.ID)
		next.types("echo n\"\"ext; exit\n")
		next.until("")
		_ = next.Close()
		return strings.Contains(next.printed.String(), "next\r\n")
	})
	if out := s.must("audit", "ls"); !strings.Contains(out, "open-shell") || !strings.Contains(out, "runs/"+one.ID) {
		t.Errorf("the audit log:\n%s", out)
	}
	last := openShell(t, c, one.ID)
	last.types("echo o\"\"pen\n")
	last.until("open")
	if err := c.RemoveKept(t.Context(), "default", one.ID); err != nil {
		t.Fatal(err)
	}
	last.until("")
	if !strings.Contains(last.exit.Reason, "the sandbox is removed") {
		t.Errorf("a shell in a sandbox that is removed ends with %+v", last.exit)
	}
	if got, err := c.Run(t.Context(), "default", one.ID); err != nil || !got.KeptUntil.IsZero() || len(s.keptHere(one.ID)) > 0 {
		t.Errorf("after it is removed: %+v, %v, %q", got, err, s.keptHere(one.ID))
	}
	var p *api.Problem
	if _, err := c.Shell(t.Context(), "default", one.ID, api.ShellSize{Columns: 1, Rows: 1}); !errors.As(err, &p) || p.Reason != run.CodeNotKept {
		t.Errorf("a shell in it: %v", err)
	}
	if err := c.RemoveKept(t.Context(), "default", one.ID); !errors.As(err, &p) || p.Reason != run.CodeNotKept {
		t.Errorf("removed again: %v", err)
	}
	again, err := c.Rerun(t.Context(), "default", one.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the repeated run is kept, too", func() bool {
		got, err := c.Run(t.Context(), "default", again.ID)
		return err == nil && !got.KeptUntil.IsZero()
	})
	open := openShell(t, c, again.ID) // it is open when the runner ends
	open.types("echo o\"\"pen\n")
	open.until("open")
	return []string{one.ID, again.ID}
}

// TestKeptEnd has sandboxes end: when their time is up, when there are too many, and when a runner that was killed is started again.
func TestKeptEnd(t *testing.T) {
	s := newServer(t)
	data := t.TempDir()
	r := s.remote("r", "default", data, "--keep-sandboxes", "2")
	process := r.start()
	c := s.client()
	s.write("failing.yaml", keptTool)
	s.must("tool", "push", "failing.yaml")
	first, second := s.fail(c), s.fail(c)
	sh := openShell(t, c, first.ID) // it is used, so the second one goes
	sh.types("echo o\"\"pen\n")
	sh.until("open")
	third := s.fail(c)
	if kept := strings.Join(s.keptHere(first.ID, second.ID, third.ID), " "); strings.Contains(kept, second.ID) || !strings.Contains(kept, first.ID) || !strings.Contains(kept, third.ID) {
		t.Errorf("of %s (used), %s and %s are kept: %s", first.ID, second.ID, third.ID, kept)
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait()
	if kept := s.keptHere(first.ID, third.ID); len(kept) != 2 {
		t.Fatalf("kept after the kill: %q", kept)
	}
	r.args = append(r.args, "--keep-sandboxes-for", "1s")
	r.start()
	waitUntil(t, "the next one removes what is left", func() bool { return len(s.keptHere(first.ID, third.ID)) == 0 })
	waitUntil(t, "nothing of it is written down any longer", func() bool {
		left, err := filepath.Glob(filepath.Join(data, "kept", "*"))
		return err == nil && len(left) == 0
	})
	s.remote("none", "other", t.TempDir(), "--keep-sandboxes", "0").start()
	waitUntil(t, "a run that asks for what no runner of its pool does says so", func() bool {
		waits, err := c.CreateRun(t.Context(), "default", &api.NewRun{Tool: "failing", KeepOnFailure: true, Pool: "other"})
		return err == nil && strings.HasPrefix(waits.Waiting, "no runner of the pool other keeps sandboxes; update one")
	})
	short := s.fail(c)
	waitUntil(t, "its time is up", func() bool { return len(s.keptHere(short.ID)) == 0 })
	waitUntil(t, "the server knows", func() bool {
		got, err := c.Run(t.Context(), "default", short.ID)
		return err == nil && got.KeptUntil.IsZero()
	})
}

// TestShellOfOthers has those ask for shells that may not, and runs that have none.
func TestShellOfOthers(t *testing.T) {
	s := newSite(t)
	c := s.client()
	s.write("failing.yaml", keptTool)
	s.must("tool", "push", "failing.yaml")
	one := s.fail(c)
	for _, role := range []string{"viewer", "operator", "author"} {
		token := strings.TrimSpace(s.must("token", "create", role, "--role", role))
		other, err := api.NewClient(api.ClientOptions{Server: s.url, Token: token, Fingerprint: s.fingerprint()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(other.Close)
		conn, err := other.Shell(t.Context(), "default", one.ID, api.ShellSize{Columns: 80, Rows: 24})
		var p *api.Problem
		if allowed := role == "author"; allowed && err != nil || !allowed && (!errors.As(err, &p) || p.Reason != run.CodeForbidden) {
			t.Errorf("%s: %v", role, err)
		}
		if err == nil {
			_ = conn.Close()
		}
		if role == "viewer" {
			if err := other.RemoveKept(t.Context(), "default", one.ID); !errors.As(err, &p) || p.Reason != run.CodeForbidden {
				t.Errorf("%s removes it: %v", role, err)
			}
		}
	}
	// The end of its token ends a shell.
	token := strings.TrimSpace(s.must("token", "create", "short", "--role", "author"))
	short, err := api.NewClient(api.ClientOptions{Server: s.url, Token: token, Fingerprint: s.fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(short.Close)
	var sh *shell
	waitUntil(t, "the shell of the author has ended", func() bool {
		sh = openShell(t, short, one.ID)
		sh.types("echo o\"\"pen\n")
		for sh.exit == nil && !strings.Contains(sh.printed.String(), "open\r\n") {
			f, err := sh.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if sh.printed.Write(f.Data); f.Control != nil {
				sh.exit = f.Control.Exit
			}
		}
		return sh.exit == nil
	})
	s.must("token", "rm", "short")
	if sh.until(""); sh.exit.Reason != "the token has ended" {
		t.Errorf("it ends with %+v", sh.exit)
	}
	// A browser sends a session's cookie with the WebSocket of any page.
	admin, err := os.ReadFile(filepath.Join(s.data, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // the server of this test
	ask := func(method, path string, header map[string]string) (status int, code, cookie string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range header {
			req.Header.Set(name, value)
		}
		resp, err := plain.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var p api.Problem
		_ = json.NewDecoder(resp.Body).Decode(&p) // a success has none
		cookie, _, _ = strings.Cut(resp.Header.Get("Set-Cookie"), ";")
		return resp.StatusCode, string(p.Reason), cookie
	}
	_, _, cookie := ask(http.MethodPost, "/api/v1/session", map[string]string{"Authorization": "Bearer " + strings.TrimSpace(string(admin)), "X-Mayfly-Session": "1"})
	path := fmt.Sprintf("/api/v1/projects/default/runs/%s/shell", one.ID)
	for name, c := range map[string]struct {
		header map[string]string
		status int
	}{
		"the own origin":          {map[string]string{"Cookie": cookie, "Origin": s.url}, http.StatusSwitchingProtocols},
		"another origin":          {map[string]string{"Cookie": cookie, "Origin": "https://elsewhere.example"}, http.StatusForbidden},
		"another port":            {map[string]string{"Cookie": cookie, "Origin": "https://127.0.0.1:1"}, http.StatusForbidden},
		"no origin":               {map[string]string{"Cookie": cookie}, http.StatusForbidden},
		"an opaque origin":        {map[string]string{"Cookie": cookie, "Origin": "null"}, http.StatusForbidden},
		"another port's page":     {map[string]string{"Cookie": cookie, "Origin": s.url, "Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
		"a token, elsewhere":      {map[string]string{"Authorization": "Bearer " + strings.TrimSpace(string(admin)), "Origin": "https://elsewhere.example"}, http.StatusForbidden},
		"nobody":                  {map[string]string{"Origin": s.url}, http.StatusUnauthorized},
		"the own page, no socket": {map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Upgrade": ""}, http.StatusUpgradeRequired},
	} {
		header := map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
		for name, value := range c.header {
			header[name] = value
		}
		if status, code, _ := ask(http.MethodGet, path, header); status != c.status || status == http.StatusForbidden && code != string(run.CodeCrossSite) {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
	// A workflow and tests keep nothing.
	s.write("flow.yaml", "name: flow\nworkflow: [{name: a, tool: failing}]\n")
	s.must("tool", "push", "flow.yaml")
	var p *api.Problem
	if _, err := c.CreateRun(t.Context(), "default", &api.NewRun{Tool: "flow", KeepOnFailure: true}); !errors.As(err, &p) || !strings.Contains(p.Detail, "keep_on_failure is for tools") {
		t.Errorf("a workflow: %v", err)
	}
}
