package run_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// A request is a message: what runs a tool may be another process.
func ExampleRequest() {
	greet, err := tool.Parse("greet.yaml", []byte("image: busybox\ncommand: echo hello $who\nargs: [{name: who}]\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	sent, err := json.Marshal(run.Request{ID: "run-1", Tool: greet, Inputs: run.Values{"who": "team"}, Grace: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	var received run.Request
	if err := json.Unmarshal(sent, &received); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(received.Tool.Name, received.Inputs["who"], received.Grace)
	// Output: greet team 10s
}

// Events of a run are numbered in the order in which they happen, and are
// printed by `mayfly run --json` one a line.
func ExampleSequence() {
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	events := run.NewSequence("run-1", func(e run.Event) {
		e.Time = at // the real one isn't the same each time
		line, _ := json.Marshal(e)
		fmt.Println(string(line))
	})
	events.Emit(run.Event{State: &run.StateChange{State: run.Running}})
	events.Emit(run.Event{Log: &run.Log{Stream: "stdout", Data: "hello\n"}})
	// Output:
	// {"seq":1,"time":"2026-11-29T12:00:00Z","run":"run-1","type":"state","state":"running"}
	// {"seq":2,"time":"2026-11-29T12:00:00Z","run":"run-1","type":"log","stream":"stdout","data":"hello\n"}
}
