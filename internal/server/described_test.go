package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"pgregory.net/rapid"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

// A fuzzer sends requests that it derives from the API's description to a server that has something of everything, and checks each answer
// against the description.
type fuzzer struct {
	*rig
	described *description
	client    *http.Client
	operates  []*huma.Operation
	values    map[string]string // of the parameters in addresses and of fields, by their names
	bodies    map[string]string // by the operations
}

// outgoing is a request.
type outgoing struct {
	method, path string
	header       http.Header
	body         string
}

func (a outgoing) String() string {
	return fmt.Sprintf("%s %.300s %.300v with %.500q", a.method, a.path, a.header, a.body)
}

// newFuzzer fills a server. The values and bodies are those of requests that succeed.
func newFuzzer(t *testing.T, r *rig) *fuzzer {
	t.Helper()
	r.keepAlive = 20 * time.Millisecond // a stream says something soon
	f := &fuzzer{rig: r, described: r.description(t), values: map[string]string{}, bodies: map[string]string{}}
	f.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(f.client.CloseIdleConnections)
	r.each("own", func(op *huma.Operation, _, _ string) { f.operates = append(f.operates, op) })
	slices.SortFunc(f.operates, func(a, b *huma.Operation) int { return strings.Compare(a.OperationID, b.OperationID) })

	admin := r.tokens[RoleAdmin]
	made := func(path, body string) (id string) {
		a := r.keyed(t, admin, "", path, body)
		var out struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status/100 != 2 {
			t.Fatalf("%s: %+v", path, a)
		}
		return out.ID
	}
	tool := r.bundle(t, oneTool)
	made("/projects/own/tools/t/versions", tool)
	made("/projects/own/tools/t/versions", r.bundle(t, nextTool))
	for _, name := range []string{"spare", "spare2"} {
		made("/projects/own/tokens", `{"name":"`+name+`","role":"viewer"}`)
		made("/tokens", `{"name":"`+name+`","role":"viewer"}`)
	}
	if status, _ := r.putIf(t, "/api/v1/projects/own/drafts/d", tool, "If-None-Match", "*"); status != http.StatusOK {
		t.Fatalf("draft: %d", status)
	}
	flow := r.endedFlow(t)
	ended, held := made("/projects/own/runs", `{"tool":"t"}`), made("/projects/own/runs", `{"tool":"t"}`)
	runner := holder(defaultPool, "r", reporter)
	all, err := r.store.Claim(t.Context(), store.Claim{Lessee: store.Lessee{Runner: runner, Lease: r.lease}, Pool: defaultPool, Most: 10})
	if err != nil || len(all) != 2 {
		t.Fatalf("claimed %+v, %v", all, err)
	}
	waits := made("/projects/own/runs", `{"tool":"t"}`)
	digest := archive.Digest([]byte("artifact"))
	if err := r.Link(defaultPool, "r", reporter).PutContent(t.Context(), digest, strings.NewReader("artifact")); err != nil {
		t.Fatal(err)
	}
	report := &api.Report{Holding: api.Holding{Run: ended, Attempt: 1}, First: 1, Events: []run.Event{
		{Time: time.Now(), State: &run.StateChange{State: run.Running}}, {Time: time.Now(), Log: &run.Log{Stream: "stdout", Data: "a\nb\n"}},
	}, Result: &run.Result{Status: run.Succeeded, Artifacts: map[string]string{"out": digest}}}
	report.Events = append(report.Events, run.Event{Time: time.Now(), Result: report.Result})
	if _, err := r.Report(t.Context(), runner, report); err != nil {
		t.Fatal(err)
	}
	r.heldStep(t, "step", digest)
	f.values = map[string]string{
		"project": "own", "tool": "t", "version": "1", "path": "t.yaml", "artifact": "out", "secret": "s", "name": "spare", "draft": "d", "instance": reporter,
		"run": ended, "digest": digest, "definition": "t.yaml", "key": someKey, "find": "a", "status": string(run.Queued),
		"run of cancel-run": waits, "run of resume-run": flow, "run of workflow-steps": flow, "runner": "r", "waits": waits, "held": held, "flow": flow,
		"to": "2",
	}
	hello := fmt.Sprintf(`"protocol":%d,"version":"1","slots":1,"key":%q`, api.Protocol, someKey)
	f.bodies = map[string]string{
		"create-run": `{"tool":"t","inputs":{},"labels":{"a":"b"},"priority":1,"pool":"none"}`, "resume-run": `{}`, "create-version": tool, "set-draft": tool, "validate": tool,
		"create-token": `{"name":"new","role":"runner","pool":"other"}`, "create-project-token": `{"name":"new","role":"viewer","expires_seconds":60}`,
		"set-secret": `{"value":"eA==","tools":["t"]}`, "set-policy": `{"text":"max: {memory: 2Gi}\n"}`, "missing-contents": `{"digests":["` + digest + `"]}`,
		"put-content": "artifact", "runner-put-content": "artifact", "runner-messages": "{" + hello + "}", "runner-heartbeat": "{" + hello + `,"holds":[{"run":"` + held + `","attempt":1}]}`,
		"runner-report": `{"run":"` + held + `","attempt":1,"first":1,"events":[{"seq":1,"time":"2026-01-31T12:00:00Z","run":"x","type":"log","stream":"stdout","data":"x\n"}]}`,
	}
	return f
}

// endedFlow makes a run of a workflow, which has ended as cancelled.
func (r *rig) endedFlow(t *testing.T) (id string) {
	t.Helper()
	a := r.keyed(t, r.tokens[RoleAdmin], "", "/projects/own/runs", `{"pool":"none","bundle":`+r.bundle(t, oneFlow)+`}`)
	var flow api.Run
	if err := json.Unmarshal([]byte(a.body), &flow); err != nil || flow.Kind != "workflow" {
		t.Fatalf("%+v, %v", a, err)
	}
	if a := r.keyed(t, r.tokens[RoleAdmin], "", "/projects/own/runs/"+flow.ID+"/cancel", ""); a.status != http.StatusOK {
		t.Fatalf("cancel: %+v", a)
	}
	for range 10 {
		if err := r.forwardOne(t.Context(), flow.ID); err != nil {
			t.Fatal(err)
		}
		if now, err := r.store.Run(t.Context(), "own", flow.ID); err != nil || now.Over {
			return flow.ID
		}
	}
	t.Fatal("the workflow doesn't end")
	return ""
}

// TestAnswersAsDescribed sends valid and wrong requests with the tokens of all roles. No answer is one of the server's own failures, and each
// is as the description says. With -rapid.checks=N it sends 10*N requests to each store.
func TestAnswersAsDescribed(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { fuzzAnswers(t, Options{Lease: time.Hour}) })
	t.Run("Postgres", func(t *testing.T) {
		db, err := sqlstore.OpenPostgres(t.Context(), postgrestest.Start(t).Database(t), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		fuzzAnswers(t, Options{Lease: time.Hour, Store: db})
	})
}

func fuzzAnswers(t *testing.T, o Options) {
	f := newFuzzer(t, newRigWith(t, o))
	// First each operation succeeds, so that what it answers then is checked. What others need is removed last.
	last := []string{"get-policy", "get-secret", "cancel-run", "resume-run", "runner-messages", "drain-runner", "delete-"}
	rank := func(op *huma.Operation) int {
		return slices.IndexFunc(last, func(begin string) bool { return strings.HasPrefix(op.OperationID, begin) })
	}
	order := slices.Clone(f.operates)
	slices.SortStableFunc(order, func(a, b *huma.Operation) int { return rank(a) - rank(b) })
	for _, op := range order {
		if upgrades[op.OperationID] || op.OperationID == "remove-kept" {
			continue // they need a runner that keeps a sandbox: test/server has one
		}
		status, err := f.send(t.Context(), op, f.valid(op))
		if err != nil || status >= http.StatusBadRequest {
			t.Errorf("%s: status %d, %v", f.valid(op), status, err)
		}
	}
	if t.Failed() {
		return
	}
	rapid.Check(t, func(rt *rapid.T) {
		for range 10 {
			op := rapid.SampledFrom(f.operates).Draw(rt, "operation")
			a := f.draw(rt, op)
			if _, err := f.send(t.Context(), op, a); err != nil {
				rt.Fatalf("%s: %s: %v", op.OperationID, a, err)
			}
		}
	})
}

// value is the value of a parameter of an operation in a valid request.
func (f *fuzzer) value(op *huma.Operation, name string) string {
	switch {
	case f.values[name+" of "+op.OperationID] != "":
		return f.values[name+" of "+op.OperationID]
	case name == "name" && strings.Contains(op.Path, "/policies/"):
		return f.values["project"]
	case name == "name" && strings.Contains(op.Path, "/runner"):
		return f.values["runner"]
	}
	return f.values[name]
}

// valid is a request that succeeds.
func (f *fuzzer) valid(op *huma.Operation) outgoing {
	a := outgoing{method: op.Method, path: op.Path, header: http.Header{}, body: f.bodies[op.OperationID]}
	for _, p := range op.Parameters {
		if p.In == "path" {
			a.path = strings.ReplaceAll(a.path, "{"+p.Name+"}", url.PathEscape(f.value(op, p.Name)))
		}
	}
	if op.OperationID == "follow-run" {
		a.path += "?wait=false"
	}
	role := RoleAdmin
	if op.Metadata[roleKey] == RoleRunner {
		role = RoleRunner
	}
	a.header.Set("Authorization", "Bearer "+f.tokens[role])
	if op.RequestBody != nil {
		a.header.Set("Content-Type", slices.Min(slices.Collect(maps.Keys(op.RequestBody.Content))))
	}
	return a
}

// oddTexts are what people and attackers write.
var oddTexts = []string{
	"", ".", "..", "a/b", "../../etc/passwd", "\x00", "a\x00b", "\xff\xfe", "Ünï cödé", "\u202eabc", "💥", "\ufeff", "e\u0301", "' OR 1=1 --", "%00", "%", "{project}", "*", "a b",
	"-1", "0", "1e999", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "NaN", "null", "true", "[]", "\r\nX: y", strings.Repeat("a", 5000),
}

// draw is a request for an operation, of which most are wrong in one or more places.
func (f *fuzzer) draw(rt *rapid.T, op *huma.Operation) outgoing {
	a := f.valid(op)
	a.path = op.Path
	query := url.Values{}
	for _, p := range op.Parameters {
		how := rapid.IntRange(0, 9).Draw(rt, "how "+p.Name)
		if p.In != "path" && how >= 6 {
			continue // it is optional
		}
		text := f.value(op, p.Name)
		switch {
		case how == 0:
			text = rapid.SampledFrom(oddTexts).Draw(rt, p.Name)
		case how == 1:
			text = rapid.String().Draw(rt, p.Name)
		case how == 2 && p.Name == "run":
			text = rapid.SampledFrom([]string{f.values["waits"], f.values["held"], f.values["flow"], "none"}).Draw(rt, p.Name)
		case how == 2 && p.Name == "project":
			text = "foreign"
		case text == "" || how == 2:
			v := f.of(rt, p.Schema, p.Name, 0)
			text = fmt.Sprint(v)
			if all, ok := v.([]any); ok {
				text = strings.Trim(strings.Join(strings.Fields(fmt.Sprint(all...)), ","), ",")
			}
		}
		switch p.In {
		case "path":
			if text == "" || text == "." || text == ".." { // another address
				text = "x"
			}
			a.path = strings.ReplaceAll(a.path, "{"+p.Name+"}", url.PathEscape(text))
		case "query":
			query.Add(p.Name, text)
		case "header":
			// Others aren't HTTP.
			a.header.Set(p.Name, strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f {
					return -1
				}
				return r
			}, text))
		}
	}
	if rapid.IntRange(0, 19).Draw(rt, "more") == 0 {
		query.Add("unknown", "x")
	}
	if len(query) > 0 {
		a.path += "?" + query.Encode()
	}
	if op.OperationID == "follow-run" && !query.Has("wait") {
		a.path += map[bool]string{true: "&", false: "?"}[len(query) > 0] + "wait=false"
	}
	if op.RequestBody != nil || rapid.IntRange(0, 9).Draw(rt, "body") == 0 {
		a.body = f.drawBody(rt, op)
	}
	switch rapid.IntRange(0, 9).Draw(rt, "who") {
	case 0:
		a.header.Set("Authorization", rapid.SampledFrom([]string{"", "Bearer ", "Bearer mfly_x", "Basic YTpi", "bearer " + strings.Repeat("x", 5000)}).Draw(rt, "token"))
	case 1, 2:
		a.header.Set("Authorization", "Bearer "+f.tokens[rapid.SampledFrom(slices.Sorted(maps.Keys(f.tokens))).Draw(rt, "token")])
	}
	if rapid.IntRange(0, 9).Draw(rt, "types") == 0 {
		a.header.Set("Content-Type", rapid.SampledFrom([]string{"", "text/html", "application/cbor", api.ReportLines, "x", "multipart/form-data"}).Draw(rt, "type"))
		a.header.Set("Accept", rapid.SampledFrom([]string{"", "text/html", "application/cbor", "*/*;q=0", "x"}).Draw(rt, "accept"))
	}
	return a
}

func (f *fuzzer) drawBody(rt *rapid.T, op *huma.Operation) string {
	text := f.bodies[op.OperationID]
	var schema *huma.Schema
	if op.RequestBody != nil && op.RequestBody.Content[typeJSON] != nil {
		schema = op.RequestBody.Content[typeJSON].Schema
	}
	how := rapid.IntRange(0, 9).Draw(rt, "how body")
	if how == 0 || schema == nil && how < 5 {
		return rapid.SampledFrom([]string{"", "{", "null", "[]", "17", "\x00\xff", strings.Repeat("[", 100_000), text + "x", text + text, `{"a":"` + strings.Repeat("x", 5<<20) + `"}`}).Draw(rt, "raw")
	}
	if schema == nil || how == 1 {
		return text
	}
	var v any
	if how < 6 && json.Unmarshal([]byte(text), &v) == nil {
		for range rapid.IntRange(1, 3).Draw(rt, "mutations") {
			v = mutated(rt, v)
		}
	} else {
		v = f.of(rt, schema, "", 0)
		if how == 9 {
			v = mutated(rt, v)
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		rt.Fatal(err)
	}
	return string(data)
}

// mutated is a value with something wrong, in one place.
func mutated(rt *rapid.T, v any) any {
	into := rapid.IntRange(0, 4).Draw(rt, "into") > 0
	switch v := v.(type) {
	case map[string]any:
		if !into || len(v) == 0 {
			break
		}
		key := rapid.SampledFrom(slices.Sorted(maps.Keys(v))).Draw(rt, "key")
		switch rapid.IntRange(0, 5).Draw(rt, "change") {
		case 0:
			delete(v, key)
		case 1:
			v[rapid.SampledFrom(oddTexts).Draw(rt, "new key")] = v[key]
		default:
			v[key] = mutated(rt, v[key])
		}
		return v
	case []any:
		if !into || len(v) == 0 {
			break
		}
		i := rapid.IntRange(0, len(v)-1).Draw(rt, "index")
		if rapid.IntRange(0, 4).Draw(rt, "twice") == 0 {
			return append(v, v[i])
		}
		v[i] = mutated(rt, v[i])
		return v
	}
	if rapid.Bool().Draw(rt, "text") {
		return rapid.SampledFrom(oddTexts).Draw(rt, "odd")
	}
	return rapid.SampledFrom([]any{
		nil, true, -1, 0, 1, 1e300, -0.5, json.Number("9223372036854775808"), json.Number("-1e-400"),
		[]any{},
		map[string]any{},
		[]any{nil},
		map[string]any{"": nil},
		strings.Repeat("x", 200_000),
		[]any{[]any{[]any{map[string]any{"a": []any{}}}}},
	}).Draw(rt, "odd value")
}

// of is a value that a schema allows. name is the field's.
func (f *fuzzer) of(rt *rapid.T, s *huma.Schema, name string, depth int) any {
	if s == nil {
		return nil
	}
	if s.Ref != "" {
		s = f.api.OpenAPI().Components.Schemas.SchemaFromRef(s.Ref)
	}
	if have := f.values[name]; have != "" && s.Type == huma.TypeString && rapid.Bool().Draw(rt, "known "+name) {
		return have
	}
	switch {
	case len(s.Enum) > 0:
		return rapid.SampledFrom(s.Enum).Draw(rt, name)
	case len(s.OneOf) > 0:
		return f.of(rt, rapid.SampledFrom(s.OneOf).Draw(rt, name), name, depth)
	}
	bound := func(p *float64, none float64) float64 {
		if p == nil {
			return none
		}
		return *p
	}
	size := func(p *int, none int) int {
		if p == nil {
			return none
		}
		return *p
	}
	switch s.Type {
	case huma.TypeBoolean:
		return rapid.Bool().Draw(rt, name)
	case huma.TypeInteger:
		return rapid.Int64Range(int64(bound(s.Minimum, -1<<62)), int64(bound(s.Maximum, 1<<62))).Draw(rt, name)
	case huma.TypeNumber:
		return rapid.Float64Range(bound(s.Minimum, -1e300), bound(s.Maximum, 1e300)).Draw(rt, name)
	case huma.TypeString:
		switch {
		case s.Format == "date-time":
			return time.Unix(rapid.Int64Range(-1<<35, 1<<37).Draw(rt, name), 0).UTC().Format(time.RFC3339)
		case s.ContentEncoding == "base64":
			return rapid.SliceOf(rapid.Byte()).Draw(rt, name)
		case s.Pattern != "":
			return rapid.StringMatching(s.Pattern).Draw(rt, name)
		}
		return rapid.StringN(size(s.MinLength, 0), min(size(s.MaxLength, 50), 300), -1).Draw(rt, name)
	case huma.TypeArray:
		all := []any{}
		for range rapid.IntRange(size(s.MinItems, 0), size(s.MinItems, 0)+2).Draw(rt, name) {
			if depth < 6 {
				all = append(all, f.of(rt, s.Items, name, depth+1))
			}
		}
		return all
	case huma.TypeObject:
		all := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
			if slices.Contains(s.Required, key) || depth < 6 && rapid.Bool().Draw(rt, "with "+key) {
				all[key] = f.of(rt, s.Properties[key], key, depth+1)
			}
		}
		if of, ok := s.AdditionalProperties.(*huma.Schema); ok && rapid.Bool().Draw(rt, "more "+name) {
			all[rapid.String().Draw(rt, "key of "+name)] = f.of(rt, of, "", depth+1)
		}
		return all
	}
	return rapid.SampledFrom([]any{nil, "x", 1, true}).Draw(rt, name)
}

// send sends a request, and says what is wrong with its answer. Of a stream that goes on, it reads the beginning.
func (f *fuzzer) send(ctx context.Context, op *huma.Operation, a outgoing) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // only against a server that doesn't answer
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, a.method, f.url+a.path, strings.NewReader(a.body))
	if err != nil {
		return 0, err
	}
	req.Header = a.header
	resp, err := f.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, f.check(op, resp)
}

func (f *fuzzer) check(op *huma.Operation, resp *http.Response) error {
	status := fmt.Sprint(resp.StatusCode)
	if resp.StatusCode >= http.StatusBadRequest {
		status = "default"
	}
	described := op.Responses[status]
	if described == nil {
		return fmt.Errorf("the status %d isn't described", resp.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if len(described.Content) == 0 {
		if body, err := io.ReadAll(resp.Body); err != nil || len(body) > 0 {
			return fmt.Errorf("the status %s has the body %.100q, %w", status, body, err)
		}
		return nil
	}
	if err != nil || described.Content[kind] == nil {
		return fmt.Errorf("the status %d comes with the type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	at := strings.Join([]string{"/paths", escaped(op.Path), strings.ToLower(op.Method), "responses", status, "content", escaped(kind)}, "/")
	switch kind {
	case typeBytes, typeTar, typeText:
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	case typeEvents:
		data := "Event"
		switch op.OperationID {
		case "follow-runs":
			data = "RunList"
		case "follow-drafts":
			data = "DraftList"
		}
		return f.checkEvents(resp.Body, at+"/x-itemSchema", data)
	case api.ReportLines:
		line, err := bufio.NewReader(resp.Body).ReadBytes('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return nil // a run that has no events yet
		}
		if err != nil {
			return err
		}
		return f.described.wrong(at+"/x-itemSchema", line)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if err := f.described.wrong(at+"/schema", body); err != nil {
		return fmt.Errorf("the answer %d is %.1000s: %w", resp.StatusCode, body, err)
	}
	if status != "default" {
		return nil
	}
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	known := slices.ContainsFunc(run.Codes(), func(c run.CodeInfo) bool { return c.Code == p.Reason })
	if resp.StatusCode >= http.StatusInternalServerError || p.Status != resp.StatusCode || !known || p.Detail == "" || p.Remedy == "" {
		return fmt.Errorf("the problem %d is %.1000s", resp.StatusCode, body)
	}
	return nil
}

// checkEvents checks the events that a stream begins with.
func (f *fuzzer) checkEvents(body io.Reader, item, data string) error {
	lines, sent := bufio.NewScanner(body), map[string]any{}
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "": // an event ends, or a comment says that there is none now
			if len(sent) == 0 {
				if value != "" {
					return nil
				}
				continue
			}
			text, err := json.Marshal(sent)
			if err != nil {
				return err
			}
			if err := f.described.wrong(item, text); err != nil {
				return err
			}
			if err := f.described.wrong("/components/schemas/"+data, []byte(sent["data"].(string))); err != nil {
				return err
			}
			clear(sent)
		case "id":
			sent[name] = json.Number(value)
		default:
			sent[name] = value
		}
	}
	return lines.Err()
}
