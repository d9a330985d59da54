package tooltest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// TestRecordAndReplay checks that a recording is written beside the test, without secrets, and that a replay gets the same
// answers.
func TestRecordAndReplay(t *testing.T) {
	count := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session=abc")
		switch r.URL.Path {
		case "/json":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"n": 1.50, "max": 9223372036854775807, "s": "yes", "list": [null, true, "1"], "token": "test-secret-1"}`)
		case "/turns":
			count++
			w.Header().Set("X-Total-Count", fmt.Sprint(count))
			if count == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			_, _ = io.WriteString(w, "line\nmachine-secret-1\n")
		case "/bytes":
			_, _ = w.Write([]byte{0, 1, 0xff})
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("0123456789\n", 1000))
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer server.Close()
	port := uint16(server.Listener.Addr().(*net.TCPAddr).Port)
	program := func(p *process) int {
		for _, target := range []string{"/json?key=" + p.Getenv("REAL"), "/turns", "/turns", "/turns", "/bytes", "/long", "/none", "/mocked"} {
			resp, err := p.get("GET", network.HostName, port, target, "", "Authorization", "Bearer "+p.Getenv("TOKEN"))
			if err != nil {
				fmt.Fprintln(p.Stdout, target[:5], err)
				continue
			}
			fmt.Fprintf(p.Stdout, "%s %d %s %q\n", target[:5], resp.StatusCode, resp.Header.Get("X-Total-Count"), resp.Body)
		}
		return 0
	}
	s := parse(t, `
tool: {image: i, command: [go, a], environment: {TOKEN: /secrets/token, REAL: /secrets/real}, network: {egress: [{host: host.mayfly.internal}]}}
secrets: {token: test-secret-1}
mocks: x.mocks.yaml
tests:
- {name: first test, http: [{path: /mocked, body: mocked}]}
- {name: second}
`)
	r := newTester(program)
	if res := r.Run(t.Context(), s, &s.Tests[0]); res.Status != report.Errored || !strings.Contains(res.Error, `file of mocks "x.mocks.yaml" can't be read`) {
		t.Fatalf("without a file: %s %s", res.Status, res.Error)
	}
	r.Record = true
	recorded := r.Run(t.Context(), s, &s.Tests[0])
	if recorded.Status != report.Passed || recorded.Recorded == "" {
		t.Fatalf("%s %s %s", recorded.Status, recorded.Error, messages(recorded))
	}
	data, err := os.ReadFile(recorded.Recorded)
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"test-secret-1", "machine-secret-1", "session", "Date", "/mocked"} {
		if strings.Contains(string(data), never) {
			t.Errorf("%s is in\n%s", never, data)
		}
	}
	if !strings.Contains(string(data), "max: 9223372036854775807") || !strings.Contains(string(data), "X-Total-Count: \"1\"") {
		t.Errorf("recorded is\n%s", data)
	}
	entries, err := os.ReadDir(filepath.Join(s.Source.Dir, "x.mocks"))
	if err != nil || len(entries) != 2 || entries[0].Name() != "first-test-8c6baf95-1.bin" || entries[1].Name() != "first-test-8c6baf95-2.txt" {
		t.Errorf("files %v (%v)", entries, err)
	}

	server.Close()
	r.Record = false
	replayed := r.Run(t.Context(), s, &s.Tests[0])
	if replayed.Status != report.Passed {
		t.Fatalf("%s %s %s", replayed.Status, replayed.Error, messages(replayed))
	}
	// The first line is compared below: the order of an object's keys may change, and the digits of a number must not.
	normal := func(s string) string {
		_, rest, _ := strings.Cut(s, "\n")
		return strings.ReplaceAll(rest, "test-secret-1", "***")
	}
	if normal(replayed.Stdout) != normal(recorded.Stdout) {
		t.Errorf("recorded\n%.2000s\nreplayed\n%.2000s", recorded.Stdout, replayed.Stdout)
	}
	// A replay sends JSON with its keys sorted.
	if want := `/json 200  "{\"list\":[null,true,\"1\"],\"max\":9223372036854775807,\"n\":1.50,\"s\":\"yes\",\"token\":\"***\"}"`; !strings.HasPrefix(replayed.Stdout, want) {
		t.Errorf("replayed is\n%.500s\nwant\n%s", replayed.Stdout, want)
	}
	// A new recording keeps another test's recording and a person's comment.
	if err := os.WriteFile(recorded.Recorded, append([]byte("# a comment\nhttp: [{path: /common}]\n"), data...), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Record = true
	_ = r.Run(t.Context(), s, &s.Tests[1])
	after, err := os.ReadFile(recorded.Recorded)
	if err != nil {
		t.Fatal(err)
	}
	set, err := suite.ParseMocks("x.mocks.yaml", after)
	if err != nil || len(set.Tests) != 2 || len(set.Tests["first test"].HTTP) != 5 || len(set.HTTP) != 1 || !strings.Contains(string(after), "# a comment") {
		t.Errorf("%v\n%s", err, after)
	}
	if err := os.WriteFile(recorded.Recorded, []byte("- a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if res := r.Run(t.Context(), s, &s.Tests[1]); !strings.Contains(res.Error, "is not a file of mocks") {
		t.Errorf("over another file: %s", res.Error)
	}
}

// TestExactNumbers checks that a document with a number that a definition can't hold isn't turned into YAML.
func TestExactNumbers(t *testing.T) {
	for text, want := range map[string]bool{
		"1": true, "-9223372036854775808": true, "12345678901234567890": true, "1.50": true, "0.1": true, "1e5": true,
		"0.1234567890123456789": true, "1e400": false,
	} {
		if _, ok := jsonNode([]byte(`{"n": ` + text + `}`)); ok != want {
			t.Errorf("%s: %v, want %v", text, ok, want)
		}
	}
	for _, text := range []string{`{} ]`, `{} }`, `{} {}`, `{`, ``} {
		if _, ok := jsonNode([]byte(text)); ok {
			t.Errorf("%q is taken for a document", text)
		}
	}
}

func TestMockFile(t *testing.T) {
	for path, want := range map[string]string{
		"a/check_test.yaml": "check.mocks.yaml", "check.test.yml": "check.mocks.yaml", "tests.yaml": "tests.mocks.yaml", "_test.yaml": "_test.mocks.yaml",
	} {
		if got := MockFile(&suite.Suite{Source: tool.Source{Path: path}}, &suite.Test{}); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// TestSlug checks that tests whose names look alike in a file name don't overwrite each other's files.
func TestSlug(t *testing.T) {
	long := "returns the list of all users of the system when the token is "
	seen := map[string]string{}
	for _, name := range []string{"a (b)", "a [b]", "a", "", "-", long + "valid", long + "invalid"} {
		s := slug(name)
		if other, ok := seen[s]; ok || len(s) > 50 {
			t.Errorf("%q and %q are both %s", name, other, s)
		}
		seen[s] = name
	}
}
