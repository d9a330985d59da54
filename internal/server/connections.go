package server

import (
	"cmp"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
)

func (s *Server) registerConnections() {
	huma.Register(s.api, operation("run-connections", http.MethodGet, "/projects/{project}/runs/{run}/connections", RoleViewer,
		"Get the connections of a run, allowed and refused; those alike are one"), s.runConnections)
}

// mostConnections bounds an answer, and what is kept in memory.
const mostConnections = 1000

// connected are connections, those alike together.
type connected struct {
	api.Connections
	at map[alike]int // their places
}

// alike is what connections have in common that are shown as one.
type alike struct {
	step, host, protocol, rule string
	port                       uint16
	allowed, mocked            bool
}

func (c *connected) add(e *run.Event) {
	one := *e.Connection
	key := alike{e.Step, cmp.Or(one.Host, one.Address), one.Protocol, one.Rule, one.Port, one.Allowed, one.Mocked}
	i, ok := c.at[key]
	switch {
	case ok:
		have := &c.Connections.Connections[i]
		have.Count++
		have.Last = e.Time
		have.RxBytes += one.RxBytes
		have.TxBytes += one.TxBytes
		have.Reason = cmp.Or(one.Reason, have.Reason)
	case len(c.at) == mostConnections:
		c.Omitted++
	default:
		c.at[key] = len(c.at)
		c.Connections.Connections = append(c.Connections.Connections, api.Connected{First: e.Time, Last: e.Time, Count: 1, Step: e.Step, Connection: one})
	}
}

func (s *Server) runConnections(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[api.Connections], error) {
	all := &connected{Connections: api.Connections{Connections: []api.Connected{}}, at: map[alike]int{}}
	_, err := s.readEvents(ctx, in.Project, in.Run, run.TypeConnection, func(e *run.Event) {
		if e.Connection != nil {
			all.add(e)
		}
	})
	if err != nil {
		return nil, err
	}
	return &body[api.Connections]{Body: all.Connections}, nil
}
