package workflow

import (
	"bytes"
	"testing"
)

// FuzzJournal reads journals that a crash, a full disk or an editor may have changed: each causes an error, or can be planned from.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"type":"run","run":{"id":"r"}}
{"type":"step","step":"a","status":"running"}
{"type":"step","step":"a","status":"succeeded","outputs":{"R":"x"}}
{"type":"step","step":"b","items":"0011","count":3}
{"type":"step","step":"b","item":1,"status":"succeeded"}
{"type":"resume"}
{"type":"step","step":"b","item":9}
{"type":"end","status":"failed"}
{"type":"step","sealed":"c2VhbGVk"}
`))
	f.Add([]byte("{\"type\":\"run\",\"run\":{}}\n{\"type\":\"step\",\"step\":\"b\",\"items\":\"x\",\"count\":-1}\n"))
	p := NewPlan(parse(f, `workflow: [{name: a, tool: T, outputs: [R]}, {name: b, tool: T, for_each: [1, 2, 3]}]`), nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		past, err := recall(t.Context(), entriesOf(bytes.NewReader(data)), plainSealer{})
		if err != nil {
			return
		}
		states := p.Resume(past)
		m := simulate(t, p, states)
		m.run(func(int) int { return 0 }, func(unit) StepState { return succeed("R", "x") })
	})
}
