package server

import (
	"context"
	"io"

	"github.com/mayfly-run/mayfly/internal/api"
)

// Link is the connection of a runner in this process. It implements runner.Server.
type Link struct {
	s                    *Server
	pool, name, instance string
}

// Link returns the connection of an instance of a runner.
func (s *Server) Link(pool, name, instance string) *Link { return &Link{s, pool, name, instance} }

// Messages implements runner.Server.
func (l *Link) Messages(ctx context.Context, h *api.Hello, take func(api.Message) error) error {
	return l.s.Messages(ctx, l.pool, l.instance, h, take)
}

func (l *Link) holder() string { return holder(l.pool, l.name, l.instance) }

// Report implements runner.Server.
func (l *Link) Report(ctx context.Context, r *api.Report) (*api.Receipt, error) {
	out, err := l.s.Report(ctx, l.holder(), r)
	return out, l.s.explain(err, "the attempt")
}

// Heartbeat implements runner.Server.
func (l *Link) Heartbeat(ctx context.Context, h *api.Heartbeat) (*api.Pulse, error) {
	out, err := l.s.Heartbeat(ctx, l.holder(), h)
	return out, l.s.explain(err, "the runner "+l.name)
}

// Content implements runner.Server.
func (l *Link) Content(ctx context.Context, digest string) (io.ReadCloser, error) {
	return l.s.Content(ctx, digest)
}

// PutContent implements runner.Server.
func (l *Link) PutContent(ctx context.Context, digest string, content io.Reader) error {
	err := l.s.archive.Put(ctx, digest, content)
	if err == nil {
		err = l.s.store.AddContents(ctx, l.holder(), []string{digest})
	}
	return l.s.explain(err, "content "+digest)
}

// Shell implements runner.Server.
func (l *Link) Shell(_ context.Context, id string) (api.ShellConn, error) {
	ours, theirs := api.ShellPipe()
	_, err := l.s.shells.meet(l.holder(), id, ours)
	return theirs, err
}
