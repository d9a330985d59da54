package local

import (
	"bytes"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"pgregory.net/rapid"
)

// collect returns a writer that appends its pieces to the list.
func collect(pieces *[]run.Log) *LogWriter {
	return &LogWriter{Stream: "stdout", Emit: func(l *run.Log) { *pieces = append(*pieces, *l) }}
}

func TestLogWriterEmitsWholeLines(t *testing.T) {
	var pieces []run.Log
	w := collect(&pieces)
	for _, b := range []byte("one\ntwo\nthr") {
		if _, err := w.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush()
	want := []string{"one\n", "two\n", "thr"}
	if len(pieces) != len(want) {
		t.Fatalf("%d pieces, want %d: %v", len(pieces), len(want), pieces)
	}
	for i := range want {
		if pieces[i].Data != want[i] {
			t.Errorf("piece %d is %q, want %q", i, pieces[i].Data, want[i])
		}
	}
}

func TestLogWriterDoesNotKeepAPromptBack(t *testing.T) {
	got := make(chan run.Log, 1)
	w := &LogWriter{Stream: "stdout", Emit: func(l *run.Log) { got <- *l }}
	if _, err := w.Write([]byte("password: ")); err != nil {
		t.Fatal(err)
	}
	select {
	case l := <-got:
		if l.Data != "password: " {
			t.Errorf("got %q", l.Data)
		}
	case <-time.After(time.Minute):
		t.Fatal("a line without an end was never emitted")
	}
}

// TestLogWriterLosesNothing: for any writes, the pieces together are the bytes, no character of valid text is cut, and no
// piece is too large.
func TestLogWriterLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.OneOf(
			rapid.SliceOf(rapid.Byte()),
			rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
			rapid.Map(rapid.IntRange(0, 3*maxLogPiece), func(n int) []byte { return bytes.Repeat([]byte("é"), n/2) }),
		)).Draw(t, "parts")
		var pieces []run.Log
		w := collect(&pieces)
		var want, got []byte
		for _, p := range parts {
			want = append(want, p...)
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
		for _, l := range pieces {
			if n := len(l.Bytes()); n == 0 || n > maxLogPiece {
				t.Fatalf("got a piece of %d bytes, want 1 to %d", n, maxLogPiece)
			}
			if (l.Data != "") == (l.DataBase64 != nil) {
				t.Fatal("a piece must have either Data or DataBase64")
			}
			got = append(got, l.Bytes()...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, want the same %d", len(got), len(want))
		}
	})
}

func TestLogWriterKeepsCharactersWhole(t *testing.T) {
	var pieces []run.Log
	w := collect(&pieces)
	text := bytes.Repeat([]byte("x"), maxLogPiece-1)
	text = append(text, "€uro"...)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	for i, l := range pieces {
		if l.DataBase64 != nil {
			t.Errorf("piece %d of UTF-8 text was sent as bytes", i)
		}
	}
}
