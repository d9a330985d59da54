package httpmock

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
)

// body is what is kept of a request's body.
type body struct {
	kept      []byte
	raw       []byte // as it was sent, as much as was asked for
	size      int64  // as it was sent
	truncated bool
}

// readBody reads a body to its end and keeps its beginning, and as much as raw of it as it was sent. One that came with
// gzip is kept decoded; of that no more is decoded than is kept, so that a small body can't become a large one. A body
// that isn't the gzip it says it is, is kept as it came.
func readBody(r io.Reader, encoding string, raw int64) (*body, error) {
	b := &body{}
	most := max(maxBodyKept, raw)
	head, err := io.ReadAll(io.LimitReader(r, most+1))
	b.size = int64(len(head))
	if err == nil && b.size > most {
		var rest int64
		rest, err = io.Copy(io.Discard, r)
		b.size += rest
	}
	b.raw = head[:min(b.size, raw)]
	b.kept = head[:min(len(head), maxBodyKept)]
	b.truncated = len(head) > maxBodyKept
	if err == nil && strings.EqualFold(strings.TrimSpace(encoding), "gzip") {
		b.gunzip(head, maxBodyKept)
	}
	return b, err
}

// gunzip decodes what is kept. It reports whether it is gzip.
func (b *body) gunzip(head []byte, most int64) bool {
	z, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return false
	}
	plain, err := io.ReadAll(io.LimitReader(z, most+1))
	if err != nil && !b.truncated {
		return false
	}
	b.truncated = b.truncated && err != nil || int64(len(plain)) > most
	b.kept = plain[:min(int64(len(plain)), most)]
	return true
}
