package server

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
	tooltest "github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// The JSON of a run.Event has the fields of its type beside those of all events, which no other Go type has. Later versions may have new fields and
// types of events.

// eventHead is what every event has.
type eventHead struct {
	Seq  int64     `json:"seq" minimum:"1" doc:"the number of the event in the run, from 1"`
	Time time.Time `json:"time"`
	Run  string    `json:"run" doc:"the run's id"`
	Step string    `json:"step,omitempty" doc:"the step of a workflow"`
}

// eventTypes has what events have beside their heads, by what they have as type.
var eventTypes = map[string]struct {
	name string
	of   reflect.Type
}{
	run.TypeState:      {"StateEvent", reflect.TypeFor[run.StateChange]()},
	run.TypeLog:        {"LogEvent", reflect.TypeFor[run.Log]()},
	run.TypeMetric:     {"MetricEvent", reflect.TypeFor[engine.Usage]()},
	run.TypeConnection: {"ConnectionEvent", reflect.TypeFor[engine.Connection]()},
	run.TypeDropped:    {"DroppedEvent", reflect.TypeFor[run.Dropped]()},
	run.TypeResult:     {"ResultEvent", reflect.TypeFor[run.Result]()},
	run.TypeTest:       {"TestEvent", reflect.TypeFor[tooltest.Event]()},
	run.TypeRecorded:   {"RecordedEvent", reflect.TypeFor[tooltest.Recorded]()},
}

// eventSchema describes events with this type and, beside their heads, these fields.
func eventSchema(all huma.Registry, kind *huma.Schema, of *huma.Schema) *huma.Schema {
	head := huma.SchemaFromType(all, reflect.TypeFor[eventHead]())
	one := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Properties: map[string]*huma.Schema{}, Required: []string{"type"}}
	for _, from := range []*huma.Schema{head, of} {
		maps.Copy(one.Properties, from.Properties)
		one.Required = append(one.Required, from.Required...)
	}
	one.Properties["type"] = kind // a test's result has its own
	one.Required = slices.Compact(slices.Sorted(slices.Values(one.Required)))
	return one
}

const components = "#/components/schemas/"

// testNames are the names of what tests have in the description: others have types of these names.
var testNames = map[string]string{
	"report.Event": "TestResult", "report.Failure": "TestFailure", "report.StepResult": "TestStep", "report.Recorded": "RecordedFile",
	"shape.Problem": "WrongPlace", "httpmock.Request": "MockedRequest", "httpmock.Refusal": "RefusedConnection", "commandmock.Call": "MockedCall",
}

// schemaName is the name of a type in the description.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if name, ok := testNames[t.String()]; ok {
		return name
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// describeEvents adds the events to the description's components: Event is any of them, SentEvent one in a stream of server-sent events, and SentList and SentDrafts are
// lists in such a stream.
func describeEvents(all huma.Registry) {
	known := slices.Sorted(maps.Keys(eventTypes))
	names := make([]any, len(known))
	event := &huma.Schema{
		Description:   "what mayfly run --json prints. There may be other types of events in later versions; ignore them.",
		Discriminator: &huma.Discriminator{PropertyName: "type", Mapping: map[string]string{}},
	}
	for i, name := range known {
		of := eventTypes[name]
		all.Map()[of.name] = eventSchema(all, &huma.Schema{Type: huma.TypeString, Enum: []any{name}}, huma.SchemaFromType(all, of.of))
		names[i], event.Discriminator.Mapping[name] = name, components+of.name
		event.OneOf = append(event.OneOf, &huma.Schema{Ref: components + of.name})
	}
	other := eventSchema(all, &huma.Schema{Type: huma.TypeString, Pattern: typeOfEvent.String(), Not: &huma.Schema{Enum: names}}, &huma.Schema{})
	other.Description = "an event of another version"
	all.Map()["OtherEvent"] = other
	event.OneOf = append(event.OneOf, &huma.Schema{Ref: components + "OtherEvent"})
	all.Map()["Event"] = event

	result := all.Map()["ResultEvent"]
	for _, name := range []string{"handed", "artifacts"} { // events don't have them
		delete(result.Properties, name)
	}
	for _, name := range []string{"TestEvent", "TestResult"} {
		of := all.Map()[name].Properties
		of["status"].Enum = []any{tooltest.Passed, tooltest.Failed, tooltest.Errored}
		of["result"] = &huma.Schema{AnyOf: []*huma.Schema{of["result"], {Type: "null"}}} // of a test that wasn't run
	}
	states := []any{run.Queued, run.Pulling, run.Creating, run.Running}
	all.Map()["StateEvent"].Properties["state"].Enum = append(states, endsOf()...)
	result.Properties["status"].Enum = endsOf()
	result.Properties["outputs"].Nullable = true // of a run whose runner was lost
	all.Map()["LogEvent"].Properties["stream"].Enum = []any{"stdout", "stderr"}

	textOf := func(name string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Extensions: map[string]any{
			"contentMediaType": "application/json", "contentSchema": map[string]any{"$ref": components + name},
		}}
	}
	all.Map()["SentEvent"] = &huma.Schema{
		Type: huma.TypeObject, Description: "an event in a stream of server-sent events", Required: []string{"id", "event", "data"},
		Properties: map[string]*huma.Schema{
			"id":    {Type: huma.TypeInteger, Description: "the event's seq: what a reader that comes back sends as Last-Event-ID"},
			"event": {Type: huma.TypeString, Description: "the event's type"},
			"data":  textOf("Event"),
		},
	}
	for name, of := range map[string][2]string{"SentList": {"runs", "RunList"}, "SentDrafts": {"drafts", "DraftList"}} {
		all.Map()[name] = &huma.Schema{
			Type: huma.TypeObject, Description: "a list in a stream of server-sent events", Required: []string{"event", "data"},
			Properties: map[string]*huma.Schema{
				"event": {Type: huma.TypeString, Enum: []any{of[0]}},
				"data":  textOf(of[1]),
			},
		}
	}
}

// endsOf returns the states in which a run, or a step of a workflow, ends.
func endsOf() []any {
	all := []any{}
	for _, state := range append(run.Ends(), run.Skipped) {
		all = append(all, state)
	}
	return all
}

// These stand in the description for types whose JSON isn't that of their fields.
type (
	eventRef   struct{}
	requestRef struct{}
)

// Schema implements huma.SchemaProvider.
func (eventRef) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Ref: components + "Event"} }

// Schema implements huma.SchemaProvider.
func (requestRef) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, Description: "internal: a tool with its inputs", AdditionalProperties: true}
}
