package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/run"
)

// read returns an event as its readers see it, and its size.
func read(t *testing.T, r *Result) (e Event, size int) {
	t.Helper()
	other, err := NewEvent(r)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(run.Event{Seq: 1, Run: "r", Other: other})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	return e, len(data)
}

// TestEvent has a result be as it was in an event, and fit in one however large it is.
func TestEvent(t *testing.T) {
	small := &Result{
		Type: "test", Name: "n", File: "f", Line: 3, Status: Failed, Failures: []Failure{{Kind: KindStdout, Message: "m"}}, Result: &run.Result{Outputs: map[string]string{"a": "b"}},
		Stdout: "out", Requests: []httpmock.Request{{URL: "u", Query: map[string][]string{}, Headers: map[string][]string{"A": {"b"}}}}, Calls: []commandmock.Call{{Args: []string{"a"}}},
		Connections: []engine.Connection{}, UnusedMocks: []string{"http[0]"},
	}
	if got, _ := read(t, small); !reflect.DeepEqual(got, Event{Result: *small}) {
		t.Errorf("%+v\nwant\n%+v", got, small)
	}
	const many = 2000
	long := strings.Repeat("\x01", 1<<20) // six bytes of JSON each
	large := &Result{Name: "n", Status: Failed, Stdout: long + "the end", Stderr: long, Error: long, Result: &run.Result{Reason: long, Outputs: map[string]string{}}}
	headers := map[string][]string{}
	for i := range 20 {
		headers[fmt.Sprint(i)] = []string{long[:1000]}
	}
	for i := range many {
		large.Result.Outputs[fmt.Sprint(i)] = long
		large.Failures = append(large.Failures, Failure{Message: long, Diff: long})
		large.Requests = append(large.Requests, httpmock.Request{Body: long, URL: long, Headers: headers, BodySize: 1 << 20})
		large.Calls = append(large.Calls, commandmock.Call{Args: []string{long, long}, StdinBase64: []byte(long)})
		large.Connections = append(large.Connections, engine.Connection{Host: "h"})
		large.UnusedMocks, large.Notes = append(large.UnusedMocks, long), append(large.Notes, long)
	}
	got, size := read(t, large)
	if size > 1<<20 || got.Name != "n" || got.Status != Failed || !got.StdoutTruncated || !strings.HasSuffix(got.Stdout, "the end") {
		t.Errorf("%d bytes, %s, stdout %d bytes", size, got.Status, len(got.Stdout))
	}
	for name, n := range map[string]int{
		"requests": len(got.Requests), "calls": len(got.Calls), "failures": len(got.Failures), "connections": len(got.Connections), "notes": len(got.Notes),
		"unused_mocks": len(got.UnusedMocks), "outputs": len(got.Result.Result.Outputs),
	} {
		if n == 0 || n+got.Omitted[name] != many {
			t.Errorf("%d %s, and %d are omitted", n, name, got.Omitted[name])
		}
	}
	for i := range len(got.Result.Result.Outputs) { // the first ones by name, each time
		if name := slices.Sorted(maps.Keys(large.Result.Outputs))[i]; got.Result.Result.Outputs[name] == "" {
			t.Errorf("the output %s is left out, and a later one isn't", name)
		}
	}
	if q := got.Requests[0]; !q.BodyTruncated || q.BodySize != 1<<20 {
		t.Errorf("a body of %d bytes, truncated: %t", q.BodySize, q.BodyTruncated)
	}
	if len(large.Requests[0].Body) != 1<<20 || len(large.Calls[0].Args[0]) != 1<<20 || len(large.Notes[0]) != 1<<20 || large.Failures[0].Message != long {
		t.Error("the result itself was changed")
	}
}

// TestRecorded has a file as text or as bytes, and leaves out one that is too large.
func TestRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    Recorded
	}{
		"text":  {"é\n", Recorded{Path: "p", Size: 3, Data: "é\n"}},
		"bytes": {"\xff", Recorded{Path: "p", Size: 1, DataBase64: []byte{0xff}}},
		"large": {strings.Repeat("x", MaxEvent), Recorded{Path: "p", Size: MaxEvent, Omitted: true}},
	} {
		t.Run(name, func(t *testing.T) {
			other, err := NewRecorded("p", []byte(c.content))
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(other)
			if err != nil {
				t.Fatal(err)
			}
			var got Recorded
			if err := json.Unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
