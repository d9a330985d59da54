package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
)

// RunnerClient is a runner's side of its connection with a server. It implements runner.Server.
type RunnerClient struct {
	c    *Client
	path string
	// quiet is for how long a stream of messages may be silent, also before its first one.
	quiet time.Duration
	// lines says that the server takes reports as lines.
	lines atomic.Bool
}

// quietTime is three times as long as a server is silent at most.
const quietTime = 45 * time.Second

// errQuiet says that the server has sent or taken nothing for quietTime.
var errQuiet = errors.New("the server has sent or taken nothing for too long")

// Runner returns the client of an instance of a runner.
func (c *Client) Runner(name, instance string) *RunnerClient {
	return &RunnerClient{c: c, path: "/runner/" + url.PathEscape(name) + "/" + url.PathEscape(instance), quiet: quietTime}
}

// Messages connects the runner, and calls take with each message until the connection ends.
func (r *RunnerClient) Messages(ctx context.Context, h *Hello, take func(Message) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(r.quiet, func() { cancel(errQuiet) })
	defer quiet.Stop()
	err := r.messages(ctx, h, func(m Message) error {
		quiet.Reset(r.quiet)
		return take(m)
	})
	if errors.Is(context.Cause(ctx), errQuiet) {
		return fmt.Errorf("%s: %w", r.c.opts.Server, errQuiet)
	}
	return err
}

func (r *RunnerClient) messages(ctx context.Context, h *Hello, take func(Message) error) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	resp, err := r.c.request(ctx, http.MethodPost, r.path+"/messages", http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(data))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	defer r.lines.Store(false) // the next server may be another one
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		var m Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("read a message of the server: %w", err)
		}
		if m.Session != nil {
			r.lines.Store(m.Session.Lines)
		}
		if err := take(m); err != nil {
			return err
		}
	}
	return lines.Err()
}

// Report passes on what happened in an attempt.
func (r *RunnerClient) Report(ctx context.Context, report *Report) (*Receipt, error) {
	out := &Receipt{}
	if !r.lines.Load() {
		return out, r.c.call(ctx, http.MethodPost, r.path+"/reports", report, out)
	}
	text, err := reportLines(report)
	if err != nil {
		return nil, err
	}
	resp, err := r.c.request(ctx, http.MethodPost, r.path+"/reports", http.Header{"Content-Type": {ReportLines}}, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return out, r.c.answer(resp, out)
}

// reportLines is a report as ReportLines.
func reportLines(report *Report) ([]byte, error) {
	head := *report
	head.Events = nil
	text, err := json.Marshal(&head)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, e := range report.Events {
		if size += 200; e.Log != nil {
			size += len(e.Log.Data) + len(e.Log.Data)/16 // of escapes
		}
	}
	text = slices.Grow(append(text, '\n'), size)
	for i, e := range report.Events {
		e.Seq, e.Run = report.First+int64(i), report.Run
		line, err := e.MarshalJSON() // json.Marshal would check and copy it once more
		if err != nil {
			return nil, err
		}
		text = append(append(text, line...), '\n')
	}
	return text, nil
}

// Heartbeat keeps attempts.
func (r *RunnerClient) Heartbeat(ctx context.Context, h *Heartbeat) (*Pulse, error) {
	out := &Pulse{}
	return out, r.c.call(ctx, http.MethodPost, r.path+"/heartbeat", h, out)
}

// Content returns a content.
func (r *RunnerClient) Content(ctx context.Context, digest string) (io.ReadCloser, error) {
	resp, err := r.c.request(ctx, http.MethodGet, r.path+"/contents/"+url.PathEscape(digest), http.Header{}, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// PutContent sends an artifact.
func (r *RunnerClient) PutContent(ctx context.Context, digest string, content io.Reader) error {
	resp, err := r.c.request(ctx, http.MethodPut, r.path+"/contents/"+url.PathEscape(digest), http.Header{"Content-Type": {"application/octet-stream"}}, content)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
