package server

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
)

// The JSON of a run.Event has the fields of its type beside those of all events, which no other Go type has. The following types are only
// for the API's description, and exported for package huma. Later versions may have new fields and types of events.

// EventHead is what every event has.
type EventHead struct {
	Seq  int64     `json:"seq" minimum:"1" doc:"the number of the event in the run, from 1"`
	Time time.Time `json:"time"`
	Run  string    `json:"run" doc:"the run's id"`
	Step string    `json:"step,omitempty" doc:"the step of a workflow"`
}

// StateEvent says that the run has entered a state.
type StateEvent struct {
	_ struct{} `additionalProperties:"true"`
	EventHead
	Type string `json:"type" enum:"state"`
	run.StateChange
}

// LogEvent is a piece of the tool's output.
type LogEvent struct {
	_ struct{} `additionalProperties:"true"`
	EventHead
	Type string `json:"type" enum:"log"`
	run.Log
}

// MetricEvent is what the run used so far.
type MetricEvent struct {
	_ struct{} `additionalProperties:"true"`
	EventHead
	Type string `json:"type" enum:"metric"`
	engine.Usage
}

// ConnectionEvent is a connection of the tool.
type ConnectionEvent struct {
	_ struct{} `additionalProperties:"true"`
	EventHead
	Type string `json:"type" enum:"connection"`
	engine.Connection
}

// DroppedEvent stands for events that are missing in its place.
type DroppedEvent struct {
	_ struct{} `additionalProperties:"true"`
	EventHead
	Type string `json:"type" enum:"dropped"`
	run.Dropped
}

// ResultEvent is how the run, or a step of it, has ended.
type ResultEvent struct {
	_ struct{} `additionalProperties:"true"`
	EventHead
	Type string `json:"type" enum:"result"`
	run.Result
}

// eventTypes has the types by what their events have as type.
var eventTypes = map[string]reflect.Type{
	run.TypeState: reflect.TypeFor[StateEvent](), run.TypeLog: reflect.TypeFor[LogEvent](), run.TypeMetric: reflect.TypeFor[MetricEvent](),
	run.TypeConnection: reflect.TypeFor[ConnectionEvent](), run.TypeDropped: reflect.TypeFor[DroppedEvent](), run.TypeResult: reflect.TypeFor[ResultEvent](),
}

const components = "#/components/schemas/"

// describeEvents adds the events to the description's components: Event is any of them, SentEvent one in a stream of server-sent events, and SentList a list in such a stream.
func describeEvents(all huma.Registry) {
	known := slices.Sorted(maps.Keys(eventTypes))
	names := make([]any, len(known))
	event := &huma.Schema{
		Description:   "what mayfly run --json prints. There may be other types of events in later versions; ignore them.",
		Discriminator: &huma.Discriminator{PropertyName: "type", Mapping: map[string]string{}},
	}
	for i, name := range known {
		one := all.Schema(eventTypes[name], true, "")
		names[i], event.Discriminator.Mapping[name] = name, one.Ref
		event.OneOf = append(event.OneOf, one)
	}
	other := *all.Schema(reflect.TypeFor[EventHead](), false, "")
	other.Description = "an event of another version"
	other.Properties = maps.Clone(other.Properties)
	other.Properties["type"] = &huma.Schema{Type: huma.TypeString, Pattern: typeOfEvent.String(), Not: &huma.Schema{Enum: names}}
	other.Required = append(slices.Clone(other.Required), "type")
	other.AdditionalProperties = true
	delete(all.Map(), "EventHead")
	all.Map()["OtherEvent"] = &other
	event.OneOf = append(event.OneOf, &huma.Schema{Ref: components + "OtherEvent"})
	all.Map()["Event"] = event

	result := all.Map()["ResultEvent"]
	for _, name := range []string{"handed", "artifacts"} { // events don't have them
		delete(result.Properties, name)
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
	all.Map()["SentList"] = &huma.Schema{
		Type: huma.TypeObject, Description: "a list in a stream of server-sent events", Required: []string{"event", "data"},
		Properties: map[string]*huma.Schema{
			"event": {Type: huma.TypeString, Enum: []any{"runs"}},
			"data":  textOf("RunList"),
		},
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
