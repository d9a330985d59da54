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

// frame is a line of the protocol with a runner in another process, in JSON:
//
//	-> {"id":1,"run":{…}}           a request
//	-> {"id":1,"cancel":true}       cancels the run
//	-> {"id":1,"kill":true}         kills its tool
//	<- {"id":1,"mask":"…"}          sealed values to mask from now on
//	<- {"id":1,"event":{…}}         an event
//	<> {"id":1,"stream":7,…}        connections with a test's mocks; see stream
//	<- {"id":1,"result":{…},"error":"…"}
//
// The two processes share nothing else.
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

// Serve carries out requests until in ends. Then it cancels the running ones and waits for them.
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
				// If a frame can't be sent, the client is gone, and its end of in ends Serve.
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

// send writes a frame. It fails if the frame can't be encoded, or if the reader is gone.
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
	ended chan struct{} // closed when the other process sends nothing more
}

// asked is a run that has been requested.
type asked struct {
	answers chan frame
	mocks   run.Mocks
}

// NewClient returns a runner whose other side is [Serve]. It reads until in ends.
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
				c.serve(f, one.mocks) // its data comes in later frames
			case f.Stream != 0:
				c.open.take(f.Stream, f.Data, f.Ends)
			case one.answers != nil:
				one.answers <- f
			}
		}
	}()
	return c
}

// Run implements run.Runner. If the runner is gone, the run is lost.
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
			_ = c.asks.send(frame{ID: id, Cancel: true}) // if the runner is gone, the loop ends
		case <-kill:
			kill = nil
			_ = c.asks.send(frame{ID: id, Kill: true})
		case <-c.ended:
			err := errors.New("the runner is gone")
			return &run.Result{Status: run.Lost, ExitCode: run.ExitError, Code: run.CodeSandboxLost, Reason: err.Error()}, err
		}
	}
}

// serve has this side's mocks answer a connection from the other side, or ends the connection.
func (c *Client) serve(f frame, by run.Mocks) {
	here, there, err := socketPair()
	if err != nil || by == nil {
		_ = c.asks.send(frame{ID: f.ID, Stream: f.Stream, Ends: true}) // if the runner is gone, the connection has ended
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
