package runtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/mayfly-run/mayfly/internal/run"
)

// A runner in another process is asked and answers in JSON, one frame a line:
//
//	-> {"id":1,"run":{…}}           a request
//	-> {"id":1,"cancel":true}       its end is asked for
//	-> {"id":1,"kill":true}         and hurried
//	<- {"id":1,"mask":"…"}          what is masked from here on, sealed
//	<- {"id":1,"event":{…}}         …
//	<> {"id":1,"stream":7,…}        connections with a test's mocks; see stream
//	<- {"id":1,"result":{…},"error":"…"}
//
// There is nothing else between the two.
type frame struct {
	ID     int          `json:"id"`
	Run    *run.Request `json:"run,omitempty"`
	Cancel bool         `json:"cancel,omitempty"`
	Kill   bool         `json:"kill,omitempty"`
	Event  *run.Event   `json:"event,omitempty"`
	Mask   []byte       `json:"mask,omitempty"`
	Stream int          `json:"stream,omitempty"`
	Opens  string       `json:"opens,omitempty"`
	Data   []byte       `json:"data,omitempty"`
	Ends   bool         `json:"ends,omitempty"`
	Result *run.Result  `json:"result,omitempty"`
	Error  string       `json:"error,omitempty"`
}

// Serve carries out what is asked for until in ends; then it cancels what still runs, and waits for it.
func Serve(ctx context.Context, r run.Runner, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	answers := &frames{enc: json.NewEncoder(out)}
	type control struct {
		cancel context.CancelFunc
		kill   func()
	}
	controls := map[int]control{}
	open := &streams{}
	defer open.end()
	dec := json.NewDecoder(in)
	for {
		var f frame
		if err := dec.Decode(&f); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a frame: %w", err)
		}
		switch c := controls[f.ID]; {
		case f.Run != nil:
			runCtx, end := context.WithCancel(ctx)
			killed := make(chan struct{})
			controls[f.ID] = control{end, sync.OnceFunc(func() { close(killed) })}
			running.Go(func() {
				defer end()
				// Who reads no more has gone, and ends this side by closing in.
				watch := run.Watch{
					Kill: killed,
					Emit: func(e run.Event) { _ = answers.send(frame{ID: f.ID, Event: &e}) },
					Mask: func(sealed []byte) { _ = answers.send(frame{ID: f.ID, Mask: sealed}) },
				}
				if f.Run.Mocks != nil {
					watch.Mocks = &mocks{f.ID, answers, open}
				}
				answer := frame{ID: f.ID}
				var err error
				if answer.Result, err = r.Run(runCtx, f.Run, watch); err != nil {
					answer.Error = err.Error()
				}
				_ = answers.send(answer)
			})
		case f.Stream != 0:
			open.take(f.Stream, f.Data, f.Ends)
		case f.Cancel && c.cancel != nil:
			c.cancel()
		case f.Kill && c.kill != nil:
			c.kill()
		}
	}
}

type frames struct {
	mu  sync.Mutex
	enc *json.Encoder
}

// send writes a frame. It fails for what can't be sent, and for a reader that has gone.
func (f *frames) send(one frame) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.enc.Encode(one)
}

// Client is a runner in another process.
type Client struct {
	asks *frames

	mu    sync.Mutex
	last  int
	runs  map[int]asked
	open  streams
	ended chan struct{} // closed when nothing more comes
}

// asked is a run that was asked for.
type asked struct {
	answers chan frame
	mocks   run.Mocks
}

// NewClient returns the runner that [Serve] is on the other side of. It reads until in ends.
func NewClient(in io.Reader, out io.Writer) *Client {
	c := &Client{asks: &frames{enc: json.NewEncoder(out)}, runs: map[int]asked{}, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		for dec := json.NewDecoder(in); ; {
			var f frame
			if dec.Decode(&f) != nil {
				c.open.end()
				return
			}
			c.mu.Lock()
			one := c.runs[f.ID]
			c.mu.Unlock()
			switch {
			case f.Opens != "":
				c.serve(f, one.mocks) // before its data comes
			case f.Stream != 0:
				c.open.take(f.Stream, f.Data, f.Ends)
			case one.answers != nil:
				one.answers <- f
			}
		}
	}()
	return c
}

// Run is run.Runner's. A runner that is gone makes the run lost.
func (c *Client) Run(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	answers := make(chan frame)
	c.mu.Lock()
	c.last++
	id := c.last
	c.runs[id] = asked{answers, watch.Mocks}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.runs, id)
	}()
	if err := c.asks.send(frame{ID: id, Run: req}); err != nil {
		err = fmt.Errorf("ask the runner: %w", err)
		return &run.Result{Status: run.Lost, ExitCode: run.ExitError, Code: run.CodeSandboxLost, Reason: err.Error()}, err
	}
	done, kill := ctx.Done(), watch.Kill
	for {
		select {
		case f := <-answers:
			switch {
			case f.Result != nil && f.Error != "":
				return f.Result, errors.New(f.Error)
			case f.Result != nil:
				return f.Result, nil
			case f.Event != nil && watch.Emit != nil:
				watch.Emit(*f.Event)
			case f.Mask != nil && watch.Mask != nil:
				watch.Mask(f.Mask)
			}
		case <-done:
			done = nil
			_ = c.asks.send(frame{ID: id, Cancel: true}) // a runner that has gone ends the loop
		case <-kill:
			kill = nil
			_ = c.asks.send(frame{ID: id, Kill: true})
		case <-c.ended:
			err := errors.New("the runner is gone")
			return &run.Result{Status: run.Lost, ExitCode: run.ExitError, Code: run.CodeSandboxLost, Reason: err.Error()}, err
		}
	}
}

// serve has a connection from the other side answered by the mocks of this one, or ends it.
func (c *Client) serve(f frame, by run.Mocks) {
	here, there, err := socketPair()
	if err != nil || by == nil {
		_ = c.asks.send(frame{ID: f.ID, Stream: f.Stream, Ends: true}) // a runner that has gone has ended it
		return
	}
	c.open.add(f.Stream, here, func(data []byte, ends bool) error {
		return c.asks.send(frame{ID: f.ID, Stream: f.Stream, Data: data, Ends: ends})
	})
	if f.Opens == "command" {
		by.Command(there)
	} else {
		by.Connection(there)
	}
}
