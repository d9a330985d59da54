package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/network"
)

// One sandbox, from its start to its end. The fake engine stands in for one
// with containers.
func Example() {
	e := &fake.Engine{Programs: map[string]fake.Program{
		"greet": func(p *fake.Process) int {
			fmt.Fprintln(p.Stdout, "hello", strings.Join(p.Args[1:], " "))
			return 3
		},
	}}
	spec := &engine.Spec{
		ID:      "run-1",
		Image:   engine.Image{Reference: "example.com/greeter:1", Digest: "sha256:" + strings.Repeat("0", 64)},
		Args:    []string{"greet", "the", "team"},
		Network: network.Policy{Mode: network.ModeNone},
	}
	sandbox, err := e.Start(context.Background(), spec, engine.Local{}, engine.Streams{Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sandbox.Close()
	for range sandbox.Events() { // until the tool has ended
	}
	exit, err := sandbox.Wait()
	fmt.Println(exit.Code, err)
	// Output:
	// hello the team
	// 3 <nil>
}

// What an engine can't do is refused before anything starts, and the error says
// what to do instead.
func ExampleCapabilities_Check() {
	can := engine.Capabilities{Networks: []network.Mode{network.ModeNone}}
	err := can.Check(&engine.Spec{Network: network.Policy{Mode: network.ModeNone}, Terminal: true})
	if unsupported, ok := errors.AsType[*engine.Unsupported](err); ok {
		fmt.Println("can't:", unsupported.Feature)
		fmt.Println("do:", unsupported.Remedy)
	}
	// Output:
	// can't: terminal
	// do: leave --tty out
}
