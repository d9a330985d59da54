package image

import (
	"io"
	"sync"
	"time"
)

// Phase is a step of a pull or of a layer.
type Phase string

// The phases. Resolving and Done are about the whole image, the others about one layer. Waiting without a layer is for the end of a
// prune.
const (
	Resolving   Phase = "resolving"   // asking the registry for the digest of the reference
	Waiting     Phase = "waiting"     // another process is fetching this layer
	Downloading Phase = "downloading" // the layer is being downloaded and unpacked
	Present     Phase = "present"     // the layer was in the store already
	Unpacked    Phase = "unpacked"    // the layer is in the store now
	Done        Phase = "done"        // the image is ready to use
)

// ProgressEvent is one step of a pull.
type ProgressEvent struct {
	Reference string
	Phase     Phase
	Digest    string // digest of the layer's blob
	Layer     int    // number of the layer, from 1
	Layers    int    // how many layers there are
	Current   int64  // bytes of the blob that have been read
	Total     int64  // size of the blob in bytes
}

// progress passes events on, one at a time.
type progress struct {
	mu     sync.Mutex
	report func(ProgressEvent)
	ref    string
	layers int
}

func (p *progress) send(e ProgressEvent) {
	if p.report == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e.Reference, e.Layers = p.ref, p.layers
	p.report(e)
}

// countingReader reports how many bytes of a layer have been read, at most every 50 ms.
type countingReader struct {
	r    io.Reader
	p    *progress
	e    ProgressEvent
	last time.Time
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.e.Current += int64(n)
	if now := time.Now(); now.Sub(c.last) >= 50*time.Millisecond {
		c.last = now
		c.p.send(c.e)
	}
	return n, err
}
