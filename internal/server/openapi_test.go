package server

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	tooltest "github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// description is the API's description as a client reads it. It compiles schemas in it.
type description struct {
	text     []byte
	compiler *jsonschema.Compiler
	have     map[string]*jsonschema.Schema
}

func (r *rig) description(t testing.TB) *description {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+openAPI+".json", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the description: %d, %v", resp.StatusCode, err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := &description{text: text, compiler: jsonschema.NewCompiler(), have: map[string]*jsonschema.Schema{}}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return d
}

// schema compiles the schema at a JSON pointer.
func (d *description) schema(pointer string) (*jsonschema.Schema, error) {
	if s := d.have[pointer]; s != nil {
		return s, nil
	}
	s, err := d.compiler.Compile("openapi.json#" + pointer)
	if err == nil {
		d.have[pointer] = s
	}
	return s, err
}

// wrong says how a text in JSON differs from the schema at a pointer.
func (d *description) wrong(pointer string, text []byte) error {
	s, err := d.schema(pointer)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// TestDescribesProblems checks that the description has our problems for each operation, and none of package huma's.
func TestDescribesProblems(t *testing.T) {
	r := newRig(t)
	all := r.api.OpenAPI().Components.Schemas
	problem := all.Map()["Problem"]
	if problem == nil {
		t.Fatal("the description has no Problem")
	}
	want := []string{"code", "detail", "errors", "remedy", "status", "title", "type"}
	if got := slices.Sorted(maps.Keys(problem.Properties)); !slices.Equal(got, want) {
		t.Errorf("a problem has %v, want %v", got, want)
	}
	r.each("own", func(op *huma.Operation, _, _ string) {
		answer := op.Responses["default"]
		if answer == nil || len(answer.Content) != 1 || answer.Content[problemType] == nil || answer.Content[problemType].Schema.Ref != "#/components/schemas/Problem" {
			t.Errorf("%s describes its problems as %+v", op.OperationID, answer)
		}
	})
	if all.Map()["ErrorModel"] != nil || all.Map()["ErrorDetail"] != nil {
		t.Error("the description has problems of package huma")
	}
}

// TestDescribesBodies checks that the description has all bodies: of each request that may have one, and of each success, which has one
// status. A WebSocket has none.
func TestDescribesBodies(t *testing.T) {
	r := newRig(t)
	d := r.description(t)
	without := []string{"rotate-keys", "cancel-run", "drain-runner", "begin-session"}
	r.each("own", func(op *huma.Operation, _, _ string) {
		if sends := op.Method == http.MethodPost || op.Method == http.MethodPut; (op.RequestBody != nil) != (sends && !slices.Contains(without, op.OperationID)) {
			t.Errorf("%s: the body of a request is described: %v", op.OperationID, op.RequestBody != nil)
		}
		statuses := slices.Sorted(maps.Keys(op.Responses))
		if len(statuses) != 2 || statuses[1] != "default" || !slices.Contains([]string{"101", "200", "201", "204"}, statuses[0]) {
			t.Errorf("%s: the statuses are %v", op.OperationID, statuses)
			return
		}
		if answer := op.Responses[statuses[0]]; (len(answer.Content) == 0) != slices.Contains([]string{"101", "204"}, statuses[0]) {
			t.Errorf("%s: the answer %s has %d bodies", op.OperationID, statuses[0], len(answer.Content))
		}
		// All of them can be read.
		for kind, text := range op.Responses[statuses[0]].Content {
			at := strings.Join([]string{"/paths", escaped(op.Path), strings.ToLower(op.Method), "responses", statuses[0], "content", escaped(kind), "schema"}, "/")
			if _, err := d.schema(at); err != nil || text.Schema == nil {
				t.Errorf("%s: %v", op.OperationID, err)
			}
		}
	})
}

// escaped is a part of a JSON pointer (RFC 6901) in the fragment of an address.
func escaped(part string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(part)
}

// TestDescribesEvents checks events of all types against the description, and those that aren't events.
func TestDescribesEvents(t *testing.T) {
	d := newRig(t).description(t)
	head := run.Event{Seq: 1, Time: time.Now().UTC(), Run: "r", Step: "s"}
	with := func(set func(*run.Event)) run.Event {
		e := head
		set(&e)
		return e
	}
	all := []run.Event{
		with(func(e *run.Event) { e.State = &run.StateChange{State: run.Queued, Detail: "x", Attempt: 2} }),
		with(func(e *run.Event) { e.Step, e.State = "", &run.StateChange{State: run.Skipped} }),
		with(func(e *run.Event) { e.Log = &run.Log{Stream: "stdout", Data: "x\n"} }),
		with(func(e *run.Event) { e.Log = &run.Log{Stream: "stderr", DataBase64: []byte{0, 255}} }),
		with(func(e *run.Event) { e.Metric = &engine.Usage{CPUSeconds: 0.5, MemoryBytes: 1 << 40} }),
		with(func(e *run.Event) {
			e.Connection = &engine.Connection{Host: "a", Address: "192.0.2.1", Port: 443, Protocol: "tcp"}
		}),
		with(func(e *run.Event) { e.Dropped = &run.Dropped{Events: 1, Bytes: 2, Reason: "x"} }),
		with(func(e *run.Event) { e.Result = &run.Result{Status: run.Succeeded} }),
		with(func(e *run.Event) {
			e.Result = &run.Result{
				Status: run.Failed, ExitCode: 3, Code: run.CodeToolFailed, Outputs: map[string]string{"a": "b"}, Timeline: run.Timeline{Queued: head.Time},
				DeniedConnections: []engine.Connection{{Protocol: "udp"}}, Steps: []run.StepResult{{Step: "s", Status: run.Skipped}},
			}
		}),
		with(func(e *run.Event) {
			e.Other = &run.Other{Type: "later", Fields: map[string]json.RawMessage{"a": []byte("1")}}
		}),
	}
	for _, one := range []tooltest.Result{
		{Type: "test", Name: "n", File: "f", Status: "error", Error: "x", Code: run.CodeError, Problems: []shape.Problem{{Text: "x"}}},
		{
			Name: "n", File: "f", Line: 1, Tool: "t", Status: "failed", Failures: []tooltest.Failure{{Kind: "stdout", Message: "m", Diff: "d"}}, Notes: []string{"n"},
			Result: &run.Result{Status: run.Failed}, StdoutBase64: []byte{0xff}, Requests: []httpmock.Request{{Method: "GET", Headers: map[string][]string{"A": {"b"}}}},
			Refused: []httpmock.Refusal{{Host: "h"}}, Calls: []commandmock.Call{{Command: "c", StdinBase64: []byte{0xff}}}, Connections: []engine.Connection{{Protocol: "tcp"}},
			UnusedMocks: []string{"http[0]"}, Recorded: "f.mocks.yaml",
		},
	} {
		other, err := tooltest.NewEvent(&one)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, with(func(e *run.Event) { e.Other = other }))
	}
	for _, content := range []string{"a", "\xff", strings.Repeat("a", tooltest.MaxEvent)} {
		other, err := tooltest.NewRecorded("f", []byte(content))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, with(func(e *run.Event) { e.Other = other }))
	}
	for _, e := range all {
		text, err := json.Marshal(e)
		if err == nil {
			err = d.wrong("/components/schemas/Event", text)
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	const start = `{"seq":1,"time":"2026-01-31T12:00:00Z","run":"r",`
	for _, text := range []string{
		"{}", start + `"type":"log"}`, start + `"type":"log","stream":"both","data":"x"}`, start + `"type":"state","state":"asleep"}`, start + `"type":"result","status":"running"}`, start + `"type":"test","name":"n"}`,
		start + `"type":"A B"}`, `{"seq":0,"time":"2026-01-31T12:00:00Z","run":"r","type":"later"}`, `{"seq":1,"time":"today","run":"r","type":"later"}`,
	} {
		if err := d.wrong("/components/schemas/Event", []byte(text)); err == nil {
			t.Errorf("%s is an event", text)
		}
	}
}

// TestDescribesRunners checks what runners and servers say to each other against the description. It allows the fields of a later version.
func TestDescribesRunners(t *testing.T) {
	d := newRig(t).description(t)
	hold := api.Holding{Run: "r", Attempt: 1}
	log := run.Event{Seq: 1, Time: time.Now().UTC(), Run: "r", Log: &run.Log{Stream: "stdout", Data: "x"}}
	for name, v := range map[string]any{
		"Hello":     api.Hello{Protocol: 1, Slots: 1, Capacity: api.Capacity{CPU: 1}, Holds: []api.Holding{hold}},
		"Heartbeat": api.Heartbeat{Hello: api.Hello{Protocol: 1}, Leaving: true},
		"Message":   api.Message{Assign: &api.Assignment{Holding: hold, Request: &run.Request{ID: "r"}, Policy: &api.AssignedPolicy{}, Secrets: []byte("x")}},
		"Report":    api.Report{Holding: hold, First: 1, Events: []run.Event{log}, Result: &run.Result{Status: run.Failed}},
		"Receipt":   api.Receipt{Last: 1, Ended: true},
		"Pulse":     api.Pulse{Lost: []api.Holding{hold}, Drain: true},
	} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(text), `{"later":1,` + string(text[1:])} {
			if err := d.wrong("/components/schemas/"+name, []byte(text)); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		if err := d.wrong("/components/schemas/"+name, []byte(`{"protocol":"x","run":1,"last":"x","lost":1,"drain":1}`)); err == nil {
			t.Errorf("anything is a %s", name)
		}
	}
}
