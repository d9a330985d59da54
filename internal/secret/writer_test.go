package secret

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// tap is a writer that records its writes.
type tap struct {
	writes [][]byte
	last   []byte // the slice of the last write itself, not a copy
	err    error
	short  bool
}

func (w *tap) Write(p []byte) (int, error) {
	w.last = p
	w.writes = append(w.writes, bytes.Clone(p))
	if w.short {
		return len(p) - 1, nil
	}
	return len(p), w.err
}

func (w *tap) text() string { return string(bytes.Join(w.writes, nil)) }

func TestWithoutSecretsNothingIsCopied(t *testing.T) {
	for _, r := range []*Redactor{NewRedactor(), NewRedactor(nil, []byte("abc"))} {
		w := &tap{}
		p := []byte("text")
		if n, err := r.Writer(w).Write(p); n != 4 || err != nil || len(w.writes) != 1 || &w.last[0] != &p[0] {
			t.Errorf("Write = %d, %v; got %q", n, err, w.writes)
		}
	}
}

func TestOnlyBeginningsAreHeldBack(t *testing.T) {
	long := "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, tc := range []struct{ in, now, atEnd string }{
		{"Password: ", "Password: ", ""},
		{"Password: hun", "Password: ", "hun"},
		{"Password: hunt!", "Password: hunt!", ""},
		{"hunter2", "***", ""},
		{"hunter2 h", "*** ", "h"},
		{"aHVudG", "", "aHVudG"},      // base64 of "hunt"
		{long[:31], "", long[:31]},    // one byte less than a window
		{long[:40], "***", ""},        // a part of the secret
		{long[:40] + "!", "***!", ""}, // the rest of the secret doesn't follow
	} {
		w := &tap{}
		s := NewRedactor([]byte("hunter2"), []byte(long)).Writer(w)
		if _, err := io.WriteString(s, tc.in); err != nil {
			t.Fatal(err)
		}
		if got := w.text(); got != tc.now {
			t.Errorf("%q: before Close, got %q, want %q", tc.in, got, tc.now)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := w.text(); got != tc.now+tc.atEnd {
			t.Errorf("%q: after Close, got %q, want %q", tc.in, got, tc.now+tc.atEnd)
		}
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if _, err := s.Write([]byte("x")); err == nil {
			t.Error("Write after Close succeeds")
		}
	}
}

func TestErrorsOfTheWriterBelow(t *testing.T) {
	broken := errors.New("broken")
	for _, w := range []*tap{{err: broken}, {short: true}} {
		want := broken
		if w.short {
			want = io.ErrShortWrite
		}
		s := NewRedactor([]byte("hunter2")).Writer(w)
		for range 2 {
			if _, err := s.Write([]byte("text")); !errors.Is(err, want) {
				t.Errorf("Write: %v, want %v", err, want)
			}
		}
		if err := s.Close(); !errors.Is(err, want) {
			t.Errorf("Close: %v, want %v", err, want)
		}
		if len(w.writes) != 1 {
			t.Errorf("%d writes after an error, want none", len(w.writes)-1)
		}
	}
}
