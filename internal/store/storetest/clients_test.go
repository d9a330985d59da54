package storetest

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// TestClients has histories that can happen, and such that can't.
func TestClients(t *testing.T) {
	type did struct {
		kind kind
		Answer
	}
	accepted, cancelled := did{kind: opAccept}, did{kind: opCancel}
	waits, over := did{kind: opGet}, did{opCancel, Answer{Refused: store.ErrOver}}
	unknown := func(k kind) did { return did{k, Answer{Unknown: true}} }
	ended := func(s run.State) did { return did{opGet, Answer{Over: true, Status: s}} }
	missing := did{opGet, Answer{Refused: store.ErrNotFound}}
	ends := did{opGet, Answer{Cancelling: true}}
	for name, c := range map[string]struct {
		did  []did
		want bool
	}{
		"it succeeds":                         {[]did{accepted, waits, waits, ended(run.Succeeded), over, ended(run.Succeeded)}, true},
		"it is lost":                          {[]did{accepted, ended(run.Lost)}, true},
		"it is cancelled":                     {[]did{accepted, cancelled, ended(run.Cancelled)}, true},
		"it is cancelled while it runs":       {[]did{accepted, cancelled, ends, cancelled, ended(run.Cancelled)}, true},
		"it ends before it is cancelled":      {[]did{accepted, cancelled, ends, ended(run.Failed)}, true},
		"nobody knows whether it is accepted": {[]did{unknown(opAccept), waits, ended(run.Succeeded)}, true},
		"it was never accepted":               {[]did{unknown(opAccept), missing}, true},
		"nobody knows of a cancel":            {[]did{accepted, unknown(opCancel), ended(run.Cancelled)}, true},
		"a cancel never came":                 {[]did{accepted, unknown(opCancel), waits, ended(run.Succeeded)}, true},
		"a cancel comes late":                 {[]did{accepted, unknown(opCancel), waits, ended(run.Cancelled)}, true},

		"it is lost by the server":                     {[]did{accepted, missing}, false},
		"it ends twice":                                {[]did{accepted, ended(run.Succeeded), ended(run.Lost)}, false},
		"it goes on after its end":                     {[]did{accepted, ended(run.Succeeded), waits}, false},
		"it is cancelled without anybody":              {[]did{accepted, ended(run.Cancelled)}, false},
		"it is cancelled after its end":                {[]did{accepted, ended(run.Succeeded), cancelled}, false},
		"a cancel is refused before the end":           {[]did{accepted, over, waits}, false},
		"a cancel is forgotten":                        {[]did{accepted, cancelled, waits}, false},
		"it is there although nobody has asked for it": {[]did{waits}, false},
		"it comes after it was missing":                {[]did{accepted, waits, missing}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := &Clients{}
			for _, d := range c.did {
				h.do(request{d.kind, "x"}, func() Answer { return d.Answer })
			}
			if got := len(h.Check()) == 0; got != c.want {
				t.Errorf("the history can happen: %t, want %t", got, c.want)
			}
		})
	}
}
