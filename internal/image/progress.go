package image

import (
	"io"
	"sync"
	"time"
)

// Phase is a step of a pull or of a layer.
type Phase string

// The phases. Resolving and Done are of the whole image, the others of one layer; Waiting without a layer is for a prune.
const (
	Resolving   Phase = "resolving"   // asking the registry what the reference means
	Waiting     Phase = "waiting"     // another process is fetching this layer
	Downloading Phase = "downloading" // bytes come and are unpacked
	Present     Phase = "present"     // the layer was already here
	Unpacked    Phase = "unpacked"    // the layer is here now
	Done        Phase = "done"        // the image can be used
)

// ProgressEvent is one step of a pull.
type ProgressEvent struct {
	Reference string
	Phase     Phase
	Digest    string // of the layer's blob
	Layer     int    // which layer, from 1
	Layers    int    // of how many
	Current   int64  // bytes of the blob so far
	Total     int64  // bytes of the blob
}

// progress passes events on one at a time, and Downloading at most every 50 ms for a layer.
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

// countingReader reports how much of a layer went through it.
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
