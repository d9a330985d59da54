package image

import "sync/atomic"

// Limits are the budgets of an image. A field that is zero means the default, which its comment says.
type Limits struct {
	LayerBytes    int64 // unpacked bytes of one layer; 20 GiB
	ImageBytes    int64 // unpacked bytes of all layers of an image; 40 GiB
	LayerEntries  int64 // entries of one layer's tar; 2,000,000
	Layers        int   // layers of an image; 127, Docker's own limit
	ManifestBytes int64 // a manifest, an index or a config; 4 MiB, what registries accept
	PathDepth     int   // components of a path in a layer; 255
}

const (
	maxNameBytes   = 255      // NAME_MAX of the usual Linux file systems
	maxPathBytes   = 4096     // PATH_MAX
	maxID          = 65535    // a sandbox has 65,536 ids
	overflowID     = 65534    // nobody (user_namespaces(7))
	maxZstdWindow  = 64 << 20 // bytes of memory that a zstd frame may make the decoder use
	maxXZWindow    = 64 << 20 // the same for xz; xz -9 needs this much
	maxDirBytes    = 64 << 20 // bytes of the directory names that are kept to set times at the end
	tarEntryBytes  = 2 << 10  // bytes of headers for each entry of a layer's tar
	tarPaddingSlop = 1 << 20  // bytes of zero blocks after the end of a tar
)

func (l Limits) withDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.LayerBytes, 20<<30)
	def(&l.ImageBytes, 40<<30)
	def(&l.LayerEntries, 2_000_000)
	def(&l.ManifestBytes, 4<<20)
	if l.Layers <= 0 {
		l.Layers = 127
	}
	if l.PathDepth <= 0 {
		l.PathDepth = 255
	}
	return l
}

// streamBytes returns the largest size of a layer's uncompressed tar in bytes: the content, and headers for each entry.
func (l Limits) streamBytes() int64 {
	return l.LayerBytes + l.LayerEntries*tarEntryBytes + tarPaddingSlop
}

// imageBudget is the budget in bytes that the layers of an image share while they are unpacked in parallel.
type imageBudget struct{ left atomic.Int64 }

func newImageBudget(l Limits) *imageBudget {
	b := &imageBudget{}
	b.left.Store(l.ImageBytes)
	return b
}

// take takes n bytes, and reports whether they were within the budget.
func (b *imageBudget) take(n int64) bool { return b.left.Add(-n) >= 0 }
