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
	size      int64 // as it was sent
	truncated bool
}

// readBody reads a body to its end and keeps its beginning. One that came with gzip is kept decoded; of that no more is
// decoded than is kept, so that a small body can't become a large one. A body that isn't the gzip it says it is, is kept
// as it came.
func readBody(r io.Reader, encoding string) (*body, error) {
	b := &body{}
	head, err := io.ReadAll(io.LimitReader(r, maxBodyKept+1))
	b.size = int64(len(head))
	if err != nil {
		return b, err
	}
	if len(head) > maxBodyKept {
		rest, err := io.Copy(io.Discard, r)
		b.size += rest
		b.truncated = true
		if err != nil {
			return b, err
		}
	}
	b.kept = head[:min(len(head), maxBodyKept)]
	if strings.EqualFold(strings.TrimSpace(encoding), "gzip") {
		b.gunzip(head)
	}
	return b, nil
}

func (b *body) gunzip(head []byte) {
	z, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxBodyKept+1))
	if err != nil && !b.truncated {
		return
	}
	b.truncated = b.truncated || len(plain) > maxBodyKept
	b.kept = plain[:min(len(plain), maxBodyKept)]
}
