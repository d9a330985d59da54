package server

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestConnections gets the connections of a run: those alike are one, and others are not.
func TestConnections(t *testing.T) {
	r := newRig(t)
	to := func(host, address string, port uint16, allowed bool) run.Event {
		return run.Event{Connection: &engine.Connection{Host: host, Address: address, Port: port, Protocol: "tcp", Allowed: allowed, Rule: "r", RxBytes: 5, TxBytes: 7}}
	}
	misleading := out(`{"type":"connection"}`)
	refused := to("b.example", "192.0.2.2", 443, false)
	refused.Connection.Suggest = "{host: b.example}"
	failed := to("a.example", "192.0.2.9", 443, true)
	failed.Connection.Reason = "connection refused"
	r.ran(t, store.NewRun{ID: "a"}, nil,
		to("a.example", "192.0.2.1", 443, true), run.Event{Log: &misleading}, refused, failed, to("a.example", "192.0.2.1", 80, true), to("", "192.0.2.1", 443, true),
		to("", "192.0.2.3", 443, true), run.Event{State: &run.StateChange{State: run.Running, Detail: `"type":"connection"`}}, to("a.example", "192.0.2.1", 443, true),
	)
	got, err := r.client(t, RoleViewer).Connections(t.Context(), "own", "a")
	if err != nil || len(got.Connections) != 5 || got.Omitted != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	at := func(second int) time.Time { return time.Date(2026, 1, 31, 12, 0, second, 0, time.UTC) }
	want := api.Connected{First: at(0), Last: at(8), Count: 3, Connection: engine.Connection{
		Host: "a.example", Address: "192.0.2.1", Port: 443, Protocol: "tcp", Allowed: true, Rule: "r", Reason: "connection refused", RxBytes: 15, TxBytes: 21,
	}}
	if got.Connections[0] != want {
		t.Errorf("%+v, want %+v", got.Connections[0], want)
	}
	if one := got.Connections[1]; one.Allowed || one.Suggest != "{host: b.example}" || one.Count != 1 || !one.First.Equal(at(2)) {
		t.Errorf("%+v", one)
	}
	r.ran(t, store.NewRun{ID: "b"}, &run.Result{Status: run.Succeeded})
	if _, err := r.store.DropLogs(t.Context(), store.Drop{Most: 10}); err != nil {
		t.Fatal(err)
	}
	if status, p := r.call(t, http.MethodGet, "/api/v1/projects/own/runs/b/connections", r.tokens[RoleViewer], ""); status != http.StatusGone || p.Reason != run.CodeLogRemoved {
		t.Errorf("of a run without its log: %d, %+v", status, p)
	}
}

// TestConnectionsAreBounded has a run scan ports.
func TestConnectionsAreBounded(t *testing.T) {
	all := &connected{at: map[alike]int{}}
	for i := range 3 * mostConnections {
		all.add(&run.Event{Step: fmt.Sprint(i % 2), Connection: &engine.Connection{Address: "192.0.2.1", Port: uint16(i % (2 * mostConnections))}})
	}
	if len(all.Connections.Connections) != mostConnections || len(all.at) != mostConnections || all.Omitted != mostConnections || all.Connections.Connections[0].Count != 2 {
		t.Errorf("%d connections, %d omitted", len(all.Connections.Connections), all.Omitted)
	}
}
