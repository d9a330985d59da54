// Package runtest has runners for tests that check what a message between caller and runner carries.
package runtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/run"
)

// OverJSON returns a runner that passes to another one only what a message carries: it encodes each request, event and result
// as JSON and decodes it again, as on the way to another machine and back. It panics if a message can't be encoded or
// decoded, since that is a fault of the message and not of the run.
func OverJSON(r run.Runner) run.Runner { return overJSON{r} }

type overJSON struct{ next run.Runner }

func (o overJSON) Run(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	there := watch
	if watch.Emit != nil {
		there.Emit = func(e run.Event) { watch.Emit(*sent(&e)) }
	}
	result, err := o.next.Run(ctx, sent(req), there)
	if err != nil {
		err = errors.New(err.Error()) // a message carries only the text of an error
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
