package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// MostKept is for how long a runner keeps a sandbox at most.
const MostKept = 30 * time.Minute

// OpenShell asks a runner to open a shell in the sandbox of a run that it keeps, and to connect it with the server under ID.
type OpenShell struct {
	ID  string `json:"id"`
	Run string `json:"run"`
	ShellSize
}

// ShellSize is the size of a terminal, in characters.
type ShellSize struct {
	Columns uint16 `json:"cols"`
	Rows    uint16 `json:"rows"`
}

// ShellExit is how a shell has ended.
type ShellExit struct {
	Code int `json:"code"`
	// Reason is set for a shell that was not begun, or was ended.
	Reason string `json:"reason,omitempty"`
}

// ShellControl is what the two sides of a shell say about it. Exactly one of the fields is set: Resize by who uses the shell, and Exit, which
// is the last frame, by who has it.
type ShellControl struct {
	Resize *ShellSize `json:"resize,omitempty"`
	Exit   *ShellExit `json:"exit,omitempty"`
}

// ShellFrame is what the two sides of a shell send each other: bytes of its terminal, or else a word about it.
type ShellFrame struct {
	Data    []byte
	Control *ShellControl
}

// MaxShellFrame bounds a frame, in bytes.
const MaxShellFrame = 64 << 10

// ShellConn is one side of the connection between a shell and who uses it. Receive and Send may be called at the same time, each by one
// goroutine. A frame that is sent is taken when Send returns, or soon after, so that who is fast waits for who is slow.
type ShellConn interface {
	// Receive returns the next frame. The error is io.EOF when the other side has closed the connection.
	Receive(ctx context.Context) (ShellFrame, error)
	Send(ctx context.Context, f ShellFrame) error
	// Alive sends something that isn't a frame, so that a proxy doesn't take the connection for dead.
	Alive(ctx context.Context)
	Close() error
}

// WebShell returns the side of a shell that a WebSocket is: binary messages are bytes of the terminal, and texts are a [ShellControl] in JSON.
func WebShell(c *websocket.Conn) ShellConn {
	c.SetReadLimit(MaxShellFrame)
	return webShell{c}
}

type webShell struct{ *websocket.Conn }

func (w webShell) Receive(ctx context.Context) (f ShellFrame, err error) {
	kind, data, err := w.Read(ctx)
	switch {
	case websocket.CloseStatus(err) >= 0:
		return f, io.EOF
	case err != nil || kind == websocket.MessageBinary:
		return ShellFrame{Data: data}, err
	}
	f.Control = &ShellControl{}
	if err := json.Unmarshal(data, f.Control); err != nil {
		return f, fmt.Errorf("read a word about a shell: %w", err)
	}
	return f, nil
}

func (w webShell) Send(ctx context.Context, f ShellFrame) error {
	if f.Control == nil {
		return w.Write(ctx, websocket.MessageBinary, f.Data)
	}
	data, err := json.Marshal(f.Control)
	if err != nil {
		return err
	}
	return w.Write(ctx, websocket.MessageText, data)
}

// aliveTime bounds how long an answer to a ping is waited for. One that doesn't come is no error: a side that waits for the other one to take
// a frame doesn't read.
const aliveTime = 5 * time.Second

func (w webShell) Alive(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	_ = w.Ping(ctx)
}

func (w webShell) Close() error { return w.Conn.Close(websocket.StatusNormalClosure, "") }

// ShellPipe returns the two sides of a connection in this process.
func ShellPipe() (ShellConn, ShellConn) {
	p := &shellPipe{closed: make(chan struct{})}
	there, back := make(chan ShellFrame), make(chan ShellFrame)
	return pipedShell{p, there, back}, pipedShell{p, back, there}
}

type shellPipe struct {
	once   sync.Once
	closed chan struct{}
}

type pipedShell struct {
	*shellPipe
	in  <-chan ShellFrame
	out chan<- ShellFrame
}

func (p pipedShell) Receive(ctx context.Context) (ShellFrame, error) {
	select {
	case f := <-p.in:
		return f, nil
	case <-p.closed:
		return ShellFrame{}, io.EOF
	case <-ctx.Done():
		return ShellFrame{}, context.Cause(ctx)
	}
}

func (p pipedShell) Send(ctx context.Context, f ShellFrame) error {
	f.Data = append([]byte(nil), f.Data...) // the caller uses its own again
	select {
	case p.out <- f:
		return nil
	case <-p.closed:
		return io.ErrClosedPipe
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p pipedShell) Alive(context.Context) {}

func (p pipedShell) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Shell connects the shell that a message of the server asks for.
func (r *RunnerClient) Shell(ctx context.Context, id string) (ShellConn, error) {
	return r.c.shell(ctx, r.path+"/shells/"+url.PathEscape(id))
}

// Shell opens a shell in the sandbox of a run that is kept.
func (c *Client) Shell(ctx context.Context, in, id string, size ShellSize) (ShellConn, error) {
	return c.shell(ctx, fmt.Sprintf("%s/runs/%s/shell?cols=%d&rows=%d", project(in), url.PathEscape(id), size.Columns, size.Rows))
}

func (c *Client) shell(ctx context.Context, path string) (ShellConn, error) {
	header := http.Header{"Authorization": {"Bearer " + c.opts.Token}, "User-Agent": {c.opts.UserAgent}}
	conn, resp, err := websocket.Dial(ctx, strings.TrimSuffix(c.base.String(), "/")+Prefix+path, &websocket.DialOptions{HTTPClient: c.upgrading, HTTPHeader: header}) //nolint:bodyclose // it closes it itself
	switch {
	case err == nil:
		return WebShell(conn), nil
	case resp == nil || resp.StatusCode == http.StatusSwitchingProtocols:
		return nil, unreachable(c.opts.Server, err)
	}
	return nil, c.problem(resp) // websocket.Dial has read the beginning of the answer's body, and closed it
}

// RemoveKept removes the sandbox of a run that is kept.
func (c *Client) RemoveKept(ctx context.Context, in, id string) error {
	return c.call(ctx, http.MethodDelete, project(in)+"/runs/"+url.PathEscape(id)+"/kept", nil, nil)
}
