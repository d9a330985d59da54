//go:build linux

package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// dev is mayfly dev over a folder, and a browser.
type dev struct {
	*site
	process *exec.Cmd
	in      io.Writer
	lines   *bufio.Scanner
	temp    string
	address string // without a path
	cookie  *http.Cookie
}

func newDev(t *testing.T, files map[string]string, flags ...string) *dev {
	t.Helper()
	d := &dev{site: &site{t: t, home: filepath.Join(t.TempDir(), "home"), dir: t.TempDir(), log: &testbed.Output{}}, temp: t.TempDir()}
	d.loadImages()
	for name, text := range files {
		d.write(name, text)
	}
	d.process = d.mayfly(append([]string{"dev"}, flags...)...)
	d.process.Env = append(d.process.Env, "TMPDIR="+d.temp)
	d.process.Stderr = d.log
	out, err := d.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if d.in, err = d.process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		terminate(d.process)
		if t.Failed() {
			t.Logf("its log:\n%s", d.log)
		}
	})
	d.lines = bufio.NewScanner(out)
	return d
}

// invited returns the next address that it prints.
func (d *dev) invited() string {
	d.t.Helper()
	for d.lines.Scan() {
		if line := strings.TrimSpace(d.lines.Text()); strings.HasPrefix(line, "http://127.0.0.1:") {
			u, err := url.Parse(line)
			if err != nil {
				d.t.Fatal(err)
			}
			d.address = "http://" + u.Host
			return line
		}
	}
	d.t.Fatalf("it prints no address: %v\n%s", d.lines.Err(), d.log)
	return ""
}

// sent is an answer that was read.
type sent struct {
	*http.Response
	body string
}

// ask sends a request as a page of the browser does, with these headers as NAME: VALUE.
func (d *dev) ask(method, address, body string, headers ...string) sent {
	d.t.Helper()
	resp := d.open(method, address, body, headers...)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return sent{resp, string(text)}
}

func (d *dev) open(method, address, body string, headers ...string) *http.Response {
	d.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = d.address + address
	}
	req, err := http.NewRequestWithContext(d.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(api.SessionHeader, "1")
	if d.cookie != nil {
		req.AddCookie(d.cookie)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Set(name, value); name == "Host" {
			req.Host = value
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp
}

func (d *dev) decode(a sent, want int, into any) {
	d.t.Helper()
	if a.StatusCode != want {
		d.t.Fatalf("%s %s: %d %s", a.Request.Method, a.Request.URL, a.StatusCode, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		d.t.Fatalf("%s: %v", a.body, err)
	}
}

// TestDev writes a tool in a browser and beside it, runs it, and ends: nothing is left.
func TestDev(t *testing.T) {
	const tool = "name: hello\nimage: busybox\nscript: {file: run.sh}\n"
	d := newDev(t, map[string]string{"hello/tool.yaml": tool, "hello/run.sh": "echo one\n"}, "--port", "0")
	first := d.invited()
	if a := d.ask("GET", "/api/v1/me", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: %d", a.StatusCode)
	}
	came := d.ask("GET", first, "")
	if came.StatusCode != http.StatusSeeOther || came.Header.Get("Location") != "/" || len(came.Cookies()) != 1 {
		t.Fatalf("%d %v", came.StatusCode, came.Header)
	}
	if a := d.ask("GET", first, ""); a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "Press Enter") {
		t.Errorf("a second time: %d %s", a.StatusCode, a.body)
	}
	d.cookie = came.Cookies()[0]
	if a := d.ask("GET", "/api/v1/me", "", "Host: evil.example"); a.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d %s", a.StatusCode, a.body)
	}

	live := d.open("GET", "/api/v1/projects/default/drafts/live", "")
	defer live.Body.Close()
	events := bufio.NewScanner(live.Body)
	next := func() (list api.DraftList) {
		t.Helper()
		for events.Scan() {
			if data, ok := strings.CutPrefix(events.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &list); err != nil {
					t.Fatal(err)
				}
				return list
			}
		}
		t.Fatalf("the stream has ended: %v", events.Err())
		return list
	}
	before := next()
	if len(before.Drafts) != 1 || before.Drafts[0].Name != "hello/tool.yaml" || before.Drafts[0].Kind != "tool" {
		t.Fatalf("%+v", before)
	}
	d.write("hello/run.sh", "echo outside\n")
	after := next()
	if len(after.Drafts) != 1 || after.Drafts[0].ETag == before.Drafts[0].ETag {
		t.Errorf("%+v", after)
	}

	const at = "/api/v1/projects/default/drafts/hello%2Ftool.yaml"
	if a := d.ask("GET", at+"/files/run.sh", ""); a.body != "echo outside\n" {
		t.Errorf("the file has %q", a.body)
	}
	var draft api.DraftFiles
	got := d.ask("GET", at, "")
	d.decode(got, http.StatusOK, &draft)
	const text = "echo from the page\n"
	digest := archive.Digest([]byte(text))
	if a := d.ask("PUT", "/api/v1/projects/default/contents/"+digest, text, "Content-Type: application/octet-stream"); a.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	bundle := api.Bundle{Definition: draft.Definition, Files: draft.Files}
	for i, f := range bundle.Files {
		if f.Path == "run.sh" {
			bundle.Files[i].Digest, bundle.Files[i].Size = digest, int64(len(text))
		}
	}
	body := d.json(bundle)
	d.decode(d.ask("PUT", at, body, "If-Match: "+got.Header.Get("ETag")), http.StatusOK, &draft)
	if on, err := os.ReadFile(filepath.Join(d.dir, "hello/run.sh")); err != nil || string(on) != text {
		t.Errorf("on the disk is %q, %v", on, err)
	}
	if a := d.ask("PUT", at, body, "If-Match: "+got.Header.Get("ETag")); a.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("with the tag from before: %d %s", a.StatusCode, a.body)
	}

	if out := d.ran(d.json(map[string]any{"bundle": api.Bundle{Definition: draft.Definition, Files: draft.Files}})); out != "from the page\n" {
		t.Errorf("it prints %q", out)
	}
	if _, err := io.WriteString(d.in, "\n"); err != nil {
		t.Fatal(err)
	}
	if a := d.ask("GET", d.invited(), ""); a.StatusCode != http.StatusSeeOther {
		t.Errorf("by the next address: %d %s", a.StatusCode, a.body)
	}
	d.interrupted()
}

func (d *dev) json(v any) string {
	d.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// begun begins a run, and returns its path.
func (d *dev) begun(body string) string {
	d.t.Helper()
	var one api.Run
	d.decode(d.ask("POST", "/api/v1/projects/default/runs", body), http.StatusCreated, &one)
	return "/api/v1/projects/default/runs/" + one.ID
}

// ran returns what a run has printed.
func (d *dev) ran(body string) string {
	d.t.Helper()
	at := d.begun(body)
	events := d.ask("GET", at+"/events", "") // which ends with the run
	if !strings.Contains(events.body, `"status":"succeeded"`) {
		d.t.Errorf("the run: %s", events.body)
	}
	return d.ask("GET", at+"/log.txt", "").body
}

// interrupted ends it by Ctrl-C while a run goes on, and checks that nothing is left but what the folder has.
func (d *dev) interrupted() {
	t := d.t
	t.Helper()
	const long = "name: long\nimage: busybox\ncommand: [sh, -c, \"trap 'exit 3' TERM; echo begun; sleep 1000 & wait\"]\n"
	digest := archive.Digest([]byte(long))
	if a := d.ask("PUT", "/api/v1/projects/default/contents/"+digest, long, "Content-Type: application/octet-stream"); a.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	at := d.begun(d.json(map[string]any{"bundle": api.Bundle{Definition: "t.yaml", Files: []api.File{{Path: "t.yaml", Digest: digest, Size: int64(len(long))}}}}))
	follow := d.open("GET", at+"/events", "")
	defer follow.Body.Close()
	for lines := bufio.NewScanner(follow.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), "begun") {
			break
		}
	}
	if err := d.process.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := d.process.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	left, err := os.ReadDir(d.temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if entries, err := os.ReadDir(d.dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
	if text := d.log.String(); text != "" {
		t.Errorf("its log has %s", text)
	}
}

// TestDevPorts has two at once: the second takes another port, unless one is asked for.
func TestDevPorts(t *testing.T) {
	d, other := newDev(t, nil), newDev(t, nil)
	d.invited()
	if other.invited(); other.address == d.address {
		t.Errorf("both are at %s", d.address)
	}
	port := d.address[strings.LastIndexByte(d.address, ':')+1:]
	c := d.mayfly("dev", "--port", port)
	var out bytes.Buffer
	c.Stderr = &out
	if err := c.Run(); err == nil || !strings.Contains(out.String(), "address already in use; choose another --port, or leave it out") {
		t.Errorf("%v, %s", err, out.String())
	}
	if a := d.run("dev", "no/such"); a.status != 125 || !strings.Contains(a.err, "open the folder no/such: ") {
		t.Errorf("%+v", a)
	}
}
