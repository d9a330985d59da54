package run_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mayfly-run/mayfly/internal/run"
)

const lineRun = "0193b1c0-0000-7000-8000-000000000001"

// TestLogLine shows that every line of output that is written is recognized.
func TestLogLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune("\n\r\t\"\\<>&\u2028\x00\x7f\ufffd"))), 1, 50, -1).Draw(t, "text")
		e := run.Event{
			Seq: rapid.Int64Min(1).Draw(t, "seq"), Run: lineRun, Time: time.Unix(0, rapid.Int64Range(0, 1<<61).Draw(t, "time")).UTC(),
			Log: &run.Log{Stream: rapid.SampledFrom([]string{"stdout", "stderr"}).Draw(t, "stream"), Data: text},
		}
		line, err := e.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		breaks, ok := run.LogLine(line, lineRun, e.Seq)
		if !ok {
			t.Fatalf("%s is not recognized", line)
		}
		if want := strings.Count(text, "\n"); breaks != int64(want) {
			t.Fatalf("%s has %d line breaks, not %d", line, breaks, want)
		}
	})
}

// TestNoLogLine has lines that a server must not keep as they are.
func TestNoLogLine(t *testing.T) {
	const good = `{"seq":7,"time":"2026-11-30T01:02:03.5Z","run":"` + lineRun + `","type":"log","stream":"stdout","data":"a\nb"}`
	if breaks, ok := run.LogLine([]byte(good), lineRun, 7); !ok || breaks != 1 {
		t.Fatalf("a line as it is written: %d, %v", breaks, ok)
	}
	for name, one := range map[string][2]string{
		"another number":         {`:7,`, `:8,`},
		"no number":              {`:7,`, `:,`},
		"another run":            {`0001"`, `0002"`},
		"a part of a run":        {`0001"`, `000"`},
		"a comma in the time":    {`03.5Z`, `03,5Z`},
		"another zone":           {`03.5Z`, `03.5+01:00`},
		"a longer time":          {`03.5Z`, `03.50Z`},
		"no time":                {`2026-11-30T01:02:03.5Z`, ``},
		"another stream":         {`stdout`, `stdin`},
		"another type":           {`"log"`, `"result"`},
		"a field more":           {`"data"`, `"x":1,"data"`},
		"a field after it":       {`b"}`, `b","seq":9}`},
		"a quotation mark":       {`a\n`, `a"`},
		"an end within it":       {`b"}`, `\"}`},
		"a raw line break":       {`\n`, "\n"},
		"a raw zero":             {`a`, "\x00"},
		"an escape of no kind":   {`\n`, `\x`},
		"a code of a line break": {`\n`, `\u000a`},
		"half of a pair":         {`\n`, `\ud800`},
		"a code that is cut":     {`b"}`, `\u00"}`},
		"a code of a tab":        {`\n`, `\u0009`},
		"a code of no need":      {`\n`, `\u0041`},
		"a code in capitals":     {`\n`, `\u003C`},
		"a raw separator":        {`a\n`, "\u2028"},
		"nothing in it":          {`a\nb`, ``},
		"no UTF-8":               {`a\n`, "\xff"},
		"raw markup":             {`a\n`, `<`},
		"no end":                 {`"}`, `"`},
		"two ends":               {`"}`, `"}}`},
		"nothing":                {good, ``},
	} {
		t.Run(name, func(t *testing.T) {
			line := strings.Replace(good, one[0], one[1], 1)
			if line == good {
				t.Fatal("the case changes nothing")
			}
			if _, ok := run.LogLine([]byte(line), lineRun, 7); ok {
				t.Errorf("%s is taken as it is", line)
			}
		})
	}
}

// FuzzLogLine shows that what is kept as it is can be read, and is what it was taken for.
func FuzzLogLine(f *testing.F) {
	f.Add([]byte(`2026-11-30T01:02:03.5Z`), []byte(`a\nb`))
	f.Add([]byte(`2026-11-30T01:02:03+01:00`), []byte(`\u003c\u2028\"\\`))
	f.Fuzz(func(t *testing.T, at, data []byte) {
		line := bytes.Join([][]byte{[]byte(`{"seq":7,"time":"`), at, []byte(`","run":"` + lineRun + `","type":"log","stream":"stderr","data":"`), data, []byte(`"}`)}, nil)
		breaks, ok := run.LogLine(line, lineRun, 7)
		if !ok {
			return
		}
		var e run.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if e.Seq != 7 || e.Run != lineRun || e.Log == nil || e.Log.Stream != "stderr" || e.Step != "" || int64(strings.Count(e.Log.Data, "\n")) != breaks || bytes.Contains(line, []byte("\n")) {
			t.Fatalf("%q is %+v", line, e)
		}
		if again, err := e.MarshalJSON(); err != nil || !bytes.Equal(again, line) {
			t.Fatalf("%q is written as %q, %v", line, again, err)
		}
	})
}
