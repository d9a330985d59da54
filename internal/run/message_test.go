package run

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/shape"
	"pgregory.net/rapid"
)

// TestMessagesKeepEverything: no field of a message, or of a definition in it, is lost in JSON on the way to a runner. It
// fills every field and compares.
func TestMessagesKeepEverything(t *testing.T) {
	for _, empty := range []any{&Request{}, &Result{}, &StateChange{}, &Log{}, &Dropped{}} {
		t.Run(reflect.TypeOf(empty).Elem().Name(), func(t *testing.T) {
			fill(t, reflect.ValueOf(empty).Elem(), reflect.TypeOf(empty).Elem().Name())
			data, err := json.Marshal(empty)
			if err != nil {
				t.Fatal(err)
			}
			back := reflect.New(reflect.TypeOf(empty).Elem()).Interface()
			if err := json.Unmarshal(data, back); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(empty, back) {
				t.Errorf("sent\n%+v\ngot\n%+v\nfrom %s", empty, back, data)
			}
		})
	}
}

// TestOtherEvents: an event of a later version keeps what it has, and gets the numbers of the log that it is in.
func TestOtherEvents(t *testing.T) {
	for sent, want := range map[string]string{
		`{"seq":1,"time":"2026-01-02T03:04:05Z","run":"r","type":"news","b":[1,{"c":null}],"a":"x"}`:  `{"seq":7,"time":"2026-01-02T03:04:05Z","run":"q","step":"s","type":"news","a":"x","b":[1,{"c":null}]}`,
		`{"seq":1,"TYPE":"result","STEP":"","status":"succeeded","type":"other","Seq":4,"ſeq":5}`:     `{"seq":7,"time":"0001-01-01T00:00:00Z","run":"q","step":"s","type":"other","status":"succeeded"}`,
		`{"seq":1,"time":"2026-01-02T03:04:05Z","run":"r","type":"bare"}`:                             `{"seq":7,"time":"2026-01-02T03:04:05Z","run":"q","step":"s","type":"bare"}`,
		`{"seq":1,"time":"2026-01-02T03:04:05Z","run":"r","type":"state","state":"running","more":1}`: `{"seq":7,"time":"2026-01-02T03:04:05Z","run":"q","step":"s","type":"state","state":"running"}`,
	} {
		var e Event
		if err := json.Unmarshal([]byte(sent), &e); err != nil {
			t.Errorf("%s: %v", sent, err)
			continue
		}
		e.Seq, e.Run, e.Step = 7, "q", "s"
		if data, err := json.Marshal(e); err != nil || string(data) != want {
			t.Errorf("%s became\n%s, %v, want\n%s", sent, data, err, want)
		}
	}
}

func TestEventWithoutContent(t *testing.T) {
	if data, err := json.Marshal(Event{Seq: 3, Run: "r"}); err == nil || !strings.Contains(err.Error(), "event 3 of run r has no content") {
		t.Errorf("%s, %v", data, err)
	}
}

// fill sets a value and everything below it to something that isn't zero.
func fill(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("192.0.2.0/24")))
		return
	case json.RawMessage:
		v.Set(reflect.ValueOf(json.RawMessage(`{"a":1}`)))
		return
	case Values:
		v.Set(reflect.ValueOf(Values{"a": shape.Scalar{Text: "0755", Value: json.Number("755")}, "b": []any{"x", nil, true}}))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), path)
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() {
				t.Fatalf("%s.%s isn't exported: it doesn't travel", path, field.Name)
			}
			fill(t, v.Field(i), path+"."+field.Name)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), path)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, path)
		fill(t, value, path)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	default:
		t.Fatalf("%s is a %s, which this test can't fill: say how it travels", path, v.Type())
	}
}

// TestValuesArriveAsTheyAre: inputs of any kind survive JSON.
func TestValuesArriveAsTheyAre(t *testing.T) {
	text := rapid.StringOf(rapid.SampledFrom([]rune("a1.-~{}\"ü\n")))
	number := rapid.Map(rapid.StringMatching(`-?[1-9][0-9]{0,30}(\.[0-9]{1,20})?`), func(s string) json.Number { return json.Number(s) })
	var item func(depth int) *rapid.Generator[any]
	item = func(depth int) *rapid.Generator[any] {
		kinds := []*rapid.Generator[any]{
			text.AsAny(), number.AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil),
			rapid.Custom(func(t *rapid.T) any { return shape.Scalar{Text: text.Draw(t, "text"), Value: number.Draw(t, "value")} }),
		}
		if depth > 0 {
			kinds = append(kinds, rapid.SliceOfN(item(depth-1), 0, 3).AsAny(), rapid.MapOfN(text, item(depth-1), 0, 3).AsAny())
		}
		return rapid.OneOf(kinds...)
	}
	rapid.Check(t, func(t *rapid.T) {
		sent := Values(rapid.MapOfN(text, item(2), 0, 4).Draw(t, "values"))
		data, err := json.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		var got Values
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if !reflect.DeepEqual(sent, got) {
			t.Fatalf("sent %#v, got %#v from %s", sent, got, data)
		}
	})
}

func TestValuesRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":{}}`:                       "input a: it has no value",
		`{"a":{"list":[{}]}}`:            "input a: it has no value",
		`{"a":{"object":{"b":{}}}}`:      "input a: it has no value",
		`{"a":{"scalar":"x"}}`:           "input a: it must have exactly one type",
		`{"a":{"text":"x","bool":true}}`: "input a: it must have exactly one type",
		`{"a":{"date":"2026-01-01"}}`:    `unknown field "date"`,
		`{"a":{"number":"x"}}`:           "invalid number",
		`{"a":"text"}`:                   "cannot unmarshal string",
	} {
		var v Values
		if err := json.Unmarshal([]byte(text), &v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	if _, err := json.Marshal(Values{"a": struct{}{}}); err == nil || !strings.Contains(err.Error(), "input a: an input can't be a struct {}") {
		t.Errorf("an unknown type: got %v, want an error that names it", err)
	}
}

// TestEventsKeepEverything: no field of an event of any kind is lost in JSON.
func TestEventsKeepEverything(t *testing.T) {
	kinds := reflect.TypeFor[Event]()
	for i := range kinds.NumField() {
		field := kinds.Field(i)
		if field.Type.Kind() != reflect.Pointer {
			continue
		}
		t.Run(field.Name, func(t *testing.T) {
			sent := Event{Seq: 3, Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Run: "r", Step: "s"}
			fill(t, reflect.ValueOf(&sent).Elem().Field(i), field.Name)
			data, err := json.Marshal(sent)
			if err != nil {
				t.Fatal(err)
			}
			var got Event
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(sent, got) {
				t.Errorf("sent %+v, got %+v from %s", sent, got, data)
			}
		})
	}
	if err := json.Unmarshal([]byte(`{"seq":4,"run":"r"}`), &Event{}); err == nil || !strings.Contains(err.Error(), "event 4 of run r has no type") {
		t.Errorf("no type: got %v, want an error that names the event", err)
	}
}
