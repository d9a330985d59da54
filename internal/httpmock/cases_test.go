package httpmock

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/suite"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// TestSharedCases runs the cases of test/matching, which the SDKs run too. It also checks that the requests are recorded as
// the cases have them.
func TestSharedCases(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "test", "matching", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name    string
		Want    json.RawMessage
		Request *Request
		Match   bool
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	run := 0
	for _, c := range cases {
		if c.Request == nil {
			continue // a call of a command
		}
		run++
		t.Run(c.Name, func(t *testing.T) {
			text := `{"tool": "x", "tests": [{"name": "a", "expect": {"requests": [` + string(c.Want) + `]}}]}`
			if string(c.Want) == "{}" { // not valid in a file
				text = `{"tool": "x", "tests": [{"name": "a", "expect": {"requests": [{"count": 1}]}}]}`
			}
			suite, err := suite.Parse("x_test.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			got := recorded(t, c.Request)
			why := Differences(&suite.Tests[0].Expect.Requests[0].RequestMatch, got)
			if (len(why) == 0) != c.Match {
				t.Errorf("differences %q, want a match: %t", why, c.Match)
			}
		})
	}
	if run < 80 {
		t.Errorf("only %d cases", run)
	}
}

// recorded returns the record of a request with the method, URL, headers and body of want, and checks its other fields
// against want.
func recorded(t *testing.T, want *Request) *Request {
	t.Helper()
	u, err := url.Parse(want.URL)
	if err != nil {
		t.Fatal(err)
	}
	line := u.RequestURI()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(want.Method + " " + line + " HTTP/1.1\r\nHost: " + u.Host + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header(want.Headers).Clone()
	got := describe(req, &connection{tls: u.Scheme == "https", about: engine.MockedConnection{Port: want.Port}})
	got.setBody(&body{kept: bytes.Clone([]byte(want.Body)), size: int64(len(want.Body))})
	for what, pair := range map[string][2]any{
		"host": {got.Host, want.Host}, "path": {got.Path, want.Path}, "query": {got.Query, want.Query}, "port": {got.Port, want.Port},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("the %s is recorded as %q, and the case has %q", what, pair[0], pair[1])
		}
	}
	return got
}
