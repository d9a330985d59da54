package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

const (
	// maxLine bounds a line of a stream. The largest ones are results, with the outputs of a run or the steps of a workflow.
	maxLine = 64 << 20
	// away is for how long a reader tries to reach a server that was there.
	away = 10 * time.Minute
)

// Follow calls emit with each event of a run after the given number, and returns after its result. If the connection is cut,
// or the server is away for some minutes, it goes on where it was. cut, unless nil, is told each time.
func (c *Client) Follow(ctx context.Context, in, id string, after int64, emit func(run.Event), cut func(error)) error {
	pause := 100 * time.Millisecond
	since := c.now() // the last contact
	was := false     // there was a stream
	for {
		last, connected, over, err := c.follow(ctx, in, id, after, "", emit)
		if over || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		var p *Problem
		// After a cut, the server may still count the old stream, so a reader that had one comes back when there are too many.
		if errors.As(err, &p) && p.Status < http.StatusInternalServerError && (p.Status != http.StatusTooManyRequests || !was) {
			return err
		}
		if connected {
			since, was = c.now(), true
		}
		switch {
		case last > after:
			after, pause = last, 100*time.Millisecond
		case err == nil: // a server that ends may end a stream before its first event, so that there may be others
			if r, failed := c.Run(ctx, in, id); failed == nil && !r.Finished.IsZero() && r.Events <= after {
				return fmt.Errorf("run %s has ended as %s, but the last of its events isn't its result: its runner hasn't reported it", id, r.Status)
			}
		}
		if err == nil {
			err = errors.New("the server ended the connection")
		}
		if c.now().Sub(since) > away {
			return fmt.Errorf("follow run %s: %w", id, err)
		}
		if cut != nil {
			cut(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// SoFar calls emit with each event of a run that there is.
func (c *Client) SoFar(ctx context.Context, in, id string, emit func(run.Event)) error {
	_, _, _, err := c.follow(ctx, in, id, 0, "?wait=false", emit)
	return err
}

// follow reads one stream. It returns the number of the last event, and whether there was a stream that could be read.
func (c *Client) follow(ctx context.Context, in, id string, after int64, query string, emit func(run.Event)) (last int64, connected, over bool, err error) {
	header := http.Header{"Accept": {"text/event-stream"}}
	if after > 0 {
		header.Set("Last-Event-ID", fmt.Sprint(after))
	}
	resp, err := c.request(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id)+"/events"+query, header, nil)
	if err != nil {
		return after, false, false, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e run.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return after, false, false, fmt.Errorf("read an event of run %s: %w", id, err)
		}
		if e.Seq != after+1 {
			return after, false, false, fmt.Errorf("event %d of run %s comes after event %d", e.Seq, id, after)
		}
		after = e.Seq
		emit(e)
		if e.Result != nil && e.Step == "" {
			return after, true, true, nil
		}
	}
	return after, true, false, lines.Err()
}
