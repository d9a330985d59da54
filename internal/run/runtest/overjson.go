// Package runtest has runners for tests of what runs are asked of.
package runtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/run"
)

// OverJSON returns a runner that gives another one what a message carries and no more: each request, event and result is
// written as JSON and read again, as on its way to another machine and back. What can't be panics: it is a fault of the
// message, not of the run.
func OverJSON(r run.Runner) run.Runner { return overJSON{r} }

type overJSON struct{ next run.Runner }

func (o overJSON) Run(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	there := watch
	if watch.Emit != nil {
		there.Emit = func(e run.Event) { watch.Emit(*sent(&e)) }
	}
	result, err := o.next.Run(ctx, sent(req), there)
	if err != nil {
		err = errors.New(err.Error()) // of an error only the text travels
	}
	return sent(result), err
}

func sent[M any](message *M) *M {
	data, err := json.Marshal(message)
	if err != nil {
		panic(fmt.Sprintf("send %T: %v", message, err))
	}
	back := new(M)
	if err := json.Unmarshal(data, back); err != nil {
		panic(fmt.Sprintf("read %T from %s: %v", message, data, err))
	}
	return back
}
