package runner

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
)

// connectTime is for how long a runner tries to connect a shell. With several servers behind one address, it may reach another one than the
// one that has asked.
const connectTime = 10 * time.Second

// mostInput bounds what was typed and that the shell hasn't taken yet, in bytes.
const mostInput = 1 << 20

// shellCommand is the shell, which knows what terminal it has unless the tool says otherwise.
var shellCommand = []string{"sh", "-c", "export TERM=${TERM:-xterm-256color}; exec sh"}

// shell opens the shell that the server asks for, and ends it when its connection or ctx does.
func (r *Runner) shell(ctx context.Context, ask *api.OpenShell) {
	conn, err := r.connectShell(ctx, ask.ID)
	if err != nil {
		r.o.Log.Warn("connect a shell with the server", "run", ask.Run, "error", err)
		return
	}
	used, gone := context.WithCancel(ctx)
	typed, sizes := newInput(), make(chan [2]uint16, 1)
	// A WebSocket breaks when the context of a read or write ends, so theirs ends with the connection.
	lasting := context.WithoutCancel(ctx)
	received := make(chan struct{})
	go func() {
		defer close(received)
		defer gone() // nobody uses the shell any longer
		receiveShell(lasting, conn, typed, sizes)
	}()
	defer func() {
		gone()
		typed.close()
		_ = conn.Close()
		<-received
	}()
	exit := &api.ShellExit{}
	exit.Code, err = r.runShell(used, ask, sizes, engine.Streams{Stdin: typed, Stdout: printed{lasting, conn}})
	switch {
	case ctx.Err() != nil:
		exit.Code, exit.Reason = run.ExitError, "the shell is ended: the runner ends"
	case err != nil:
		exit.Code, exit.Reason = run.ExitError, strings.TrimPrefix(err.Error(), "mayfly-shim: ")
	}
	saying, late := context.WithTimeout(lasting, telling)
	defer late()
	if err := conn.Send(saying, api.ShellFrame{Control: &api.ShellControl{Exit: exit}}); err != nil {
		r.o.Log.Debug("tell how a shell has ended", "run", ask.Run, "error", err) // nobody waits for it any longer
		return
	}
	select {
	case <-received: // the server closes the connection when it has passed that on
	case <-saying.Done():
	}
}

// receiveShell takes what is typed, and sizes, until the connection ends.
func receiveShell(ctx context.Context, conn api.ShellConn, typed *input, sizes chan [2]uint16) {
	for {
		f, err := conn.Receive(ctx)
		switch {
		case err != nil:
			return
		case f.Control == nil:
			if err := typed.add(f.Data); err != nil {
				return
			}
		case f.Control.Resize != nil:
			select { // only the last size matters
			case <-sizes:
			default:
			}
			sizes <- [2]uint16{f.Control.Resize.Columns, f.Control.Resize.Rows}
		}
	}
}

func (r *Runner) connectShell(ctx context.Context, id string) (api.ShellConn, error) {
	ctx, late := context.WithTimeout(ctx, connectTime)
	defer late()
	for {
		conn, err := r.o.Server.Shell(ctx, id)
		if err == nil {
			return conn, nil
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (r *Runner) runShell(used context.Context, ask *api.OpenShell, sizes <-chan [2]uint16, streams engine.Streams) (int, error) {
	id, leave, err := r.kept.use(ask.Run)
	if err != nil {
		return 0, err
	}
	defer leave()
	terminal := &engine.Terminal{Columns: ask.Columns, Rows: ask.Rows, Resized: sizes, Gone: used.Done(), Take: func() {}}
	return r.o.Keep.Engine.Shell(id, shellCommand, terminal, streams)
}

// printed sends what a shell prints. Whoever is slow to take it slows the shell down.
type printed struct {
	ctx  context.Context //nolint:containedctx // an io.Writer gets none
	conn api.ShellConn
}

// Write implements io.Writer.
func (p printed) Write(data []byte) (n int, err error) {
	for len(data) > 0 {
		piece := data[:min(len(data), api.MaxShellFrame)]
		if err := p.conn.Send(p.ctx, api.ShellFrame{Data: piece}); err != nil {
			return n, err
		}
		n += len(piece)
		data = data[len(piece):]
	}
	return n, nil
}

// input is what was typed and that the shell hasn't read yet. It waits for nobody, so that the end of the connection is always noticed.
type input struct {
	mu     sync.Mutex
	more   sync.Cond
	data   []byte
	closed bool
}

func newInput() *input {
	i := &input{}
	i.more.L = &i.mu
	return i
}

func (i *input) add(data []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.data)+len(data) > mostInput {
		return errors.New("the shell doesn't take what is typed")
	}
	i.data = append(i.data, data...)
	i.more.Signal()
	return nil
}

// Read implements io.Reader.
func (i *input) Read(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for len(i.data) == 0 && !i.closed {
		i.more.Wait()
	}
	if i.closed {
		return 0, io.EOF
	}
	n := copy(p, i.data)
	i.data = i.data[n:]
	return n, nil
}

func (i *input) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	i.more.Signal()
}
