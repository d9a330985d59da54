// Package show shows runs to people and to programs: as lines, as a tree that a terminal draws again and again, as groups that
// GitHub folds, as a timeline, as JSON, and the results of tests.
//
// A view knows events and results, and the streams that it writes to with what each of them can do ([Stream]). It knows nothing
// of where the run is carried out, so the output of a run is the same whether it runs on this machine or elsewhere.
package show

import "github.com/mayfly-run/mayfly/internal/run"

// View shows a run while it lasts. Its methods are safe from several goroutines.
type View interface {
	// Event shows an event. Events come in their order.
	Event(e run.Event)
	// Interrupted says what the first Ctrl-C does.
	Interrupted()
	// Finish says how the run ended; err is the failure behind the result, or nil. It is called once, after the last event.
	// Its own error is that not everything that was asked for could be printed.
	Finish(result *run.Result, err error) error
}
