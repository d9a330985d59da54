package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"runtime"
	"strings"
	"testing"
	"time"
)

// counter counts bytes and masks. A write never splits a mask.
type counter struct{ bytes, masks int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	c.masks += int64(bytes.Count(p, []byte(Mask)))
	return len(p), nil
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestStreamingNeedsLittleMemory is attack I17 on the redactor: a long log, a line without end, only secrets.
func TestStreamingNeedsLittleMemory(t *testing.T) {
	total := int64(256 << 20)
	if testing.Short() || raceEnabled {
		total = 16 << 20
	}
	values := benchValues(10)
	line := append(append([]byte("token="), values[3]...), " and so on\n"...)
	for name, tc := range map[string]struct {
		piece []byte
		masks int64 // in each piece
	}{
		"log":            {benchLog(1 << 20), 0},
		"one line":       {bytes.Repeat([]byte("x"), 1<<20), 0},
		"secrets":        {bytes.Repeat(line, 1<<20/len(line)), int64(1 << 20 / len(line))},
		"beginnings":     {bytes.Repeat(values[3][:31], 1<<20/31), 0},
		"a line of zero": {make([]byte, 1<<20), 0},
	} {
		t.Run(name, func(t *testing.T) {
			out := &counter{}
			w := NewRedactor(values...).Writer(out)
			before := heap()
			var written, pieces int64
			for ; written < total; pieces++ {
				if _, err := w.Write(tc.piece); err != nil {
					t.Fatal(err)
				}
				written += int64(len(tc.piece))
			}
			if grown := heap() - before; grown > 1<<20 {
				t.Errorf("memory grew by %d bytes", grown)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			want := written
			if tc.masks > 0 {
				want = pieces * tc.masks * int64(len(line)-len(values[3])+len(Mask))
			}
			if out.bytes != want || out.masks != pieces*tc.masks {
				t.Errorf("%d bytes with %d masks came out, want %d with %d", out.bytes, out.masks, want, pieces*tc.masks)
			}
			runtime.KeepAlive(w)
		})
	}
}

// TestLargeSecret masks a secret of the largest size.
func TestLargeSecret(t *testing.T) {
	value := kubeconfig(MaxValueBytes)
	before := heap()
	r := NewRedactor(value)
	if grown := heap() - before; grown > 25*MaxValueBytes {
		t.Errorf("the index takes %d MiB", grown>>20)
	}
	var lines []string
	for line := range strings.Lines(string(value)) {
		if strings.Contains(line, "-data: ") {
			lines = append(lines, line)
		}
	}
	for _, i := range []int{0, 1, len(lines) / 2, len(lines) - 1} {
		_, data, _ := strings.Cut(strings.TrimSpace(lines[i]), ": ")
		for name, text := range map[string]string{"plain": data, "base64": base64.StdEncoding.EncodeToString([]byte(data))} {
			if got := byteByByte(t, r, "<"+text+">"); got != "<***>" {
				t.Errorf("line %d, %s: %q became %q", i, name, text, got)
			}
		}
	}
	// The text before the first leaf to mask stays readable.
	head, _, _ := strings.Cut(string(value), "RSkHyf9p")
	if got := write(t, r, string(value), 1000); got != head+Mask {
		t.Errorf("the whole secret became %d bytes: %.200q", len(got), got)
	}
	got := write(t, r, wrapped(base64.StdEncoding.EncodeToString(value), 76, ""), 1000)
	if len(got) > len(head)*4/3+12 || !strings.HasSuffix(got, Mask+"\n") {
		t.Errorf("the base64 of the secret became %d bytes: %.200q", len(got), got)
	}
	runtime.KeepAlive(r)
}

// TestATextIsFollowedOnce checks that the windows of a text don't start new followers while the text is followed. Its lines have the
// same beginning, so there are maxSame followers for a while.
func TestATextIsFollowedOnce(t *testing.T) {
	value := kubeconfig(32 << 10)
	for name, text := range map[string]string{
		"plain":  string(value),
		"base64": wrapped(base64.StdEncoding.EncodeToString(value), 76, ""),
		"hex":    wrapped(hex.EncodeToString(value), 60, "  "),
	} {
		s := newStream(NewRedactor(value).index, &counter{}, streamBuffer)
		most := 0
		for i := range len(text) / 2 {
			if _, err := s.Write([]byte{text[i]}); err != nil {
				t.Fatal(err)
			}
			places := map[uint32]int{}
			for _, f := range s.followers {
				places[f.end]++
				most = max(most, places[f.end])
			}
		}
		if most == 0 || most > maxSame+1 {
			t.Errorf("%s: a text is followed at %d places at once, want 1 to %d", name, most, maxSame+1)
		}
	}
}

func TestNoWindowIsInTheIndexTwice(t *testing.T) {
	seen := map[[2]int]bool{}
	for _, w := range NewRedactor(kubeconfig(8<<10), []byte("short-one")).index.windows {
		if at := [2]int{int(w.at), int(w.n)}; seen[at] {
			t.Errorf("window %v is in the index twice", at)
		} else {
			seen[at] = true
		}
	}
}

// TestRepetitiveSecret masks a secret whose windows are all the same: the number of followers is bounded.
func TestRepetitiveSecret(t *testing.T) {
	value := bytes.Repeat([]byte("a"), 100_000)
	// Without the bound it takes thousands of times as long as secrets without repetitions.
	start := time.Now()
	ordinary := kubeconfig(len(value))
	r := NewRedactor(ordinary, kubeconfig(len(value)-1))
	for _, text := range [][]byte{ordinary, benchLog(len(value))} {
		write(t, r, string(text), 1000)
	}
	bare := time.Since(start)
	start = time.Now()
	r = NewRedactor(value, bytes.Repeat([]byte("ab"), 50_000))
	for _, text := range []string{string(value), strings.Repeat("ab", 50_000), strings.Repeat("a", 31) + "b" + strings.Repeat("a", 1000)} {
		got := write(t, r, text, 1000)
		if !strings.HasSuffix(got, Mask) || len(got) > 40 {
			t.Errorf("%.50q… became %.200q", text, got)
		}
	}
	if took := time.Since(start); took > 100*bare {
		t.Errorf("200 KB took %v, more than a hundred times as long as other secrets and text (%v)", took, bare)
	}
}
