package image

import "sync/atomic"

// Limits are the budgets that an image from outside must keep to. A zero field means its default.
type Limits struct {
	LayerBytes    int64 // unpacked bytes of one layer; 20 GiB
	ImageBytes    int64 // unpacked bytes of all layers of an image; 40 GiB
	LayerEntries  int64 // entries of one layer's tar; 2,000,000
	Layers        int   // layers of an image; 127, Docker's own limit
	ManifestBytes int64 // a manifest, an index or a config; 4 MiB, what registries accept
	PathDepth     int   // components of a path in a layer; 255
}

const (
	maxNameBytes   = 255      // NAME_MAX of every Linux file system that matters
	maxPathBytes   = 4096     // PATH_MAX
	maxID          = 65535    // a sandbox has 65,536 ids
	overflowID     = 65534    // nobody (user_namespaces(7))
	maxZstdWindow  = 64 << 20 // bytes of memory a zstd frame may make the decoder hold
	maxXZWindow    = 64 << 20 // the same of xz, as much as xz -9 takes
	maxDirBytes    = 64 << 20 // bytes of directory names kept to set their times last
	tarEntryBytes  = 2 << 10  // what headers may add to a layer's tar for an entry, beyond its content
	tarPaddingSlop = 1 << 20  // zero blocks after the end of a tar
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

// streamBytes is the most that a layer's uncompressed tar may be: the content and a share of headers for each entry.
func (l Limits) streamBytes() int64 {
	return l.LayerBytes + l.LayerEntries*tarEntryBytes + tarPaddingSlop
}

// imageBudget is what the layers of one image, unpacked side by side, draw on together.
type imageBudget struct{ left atomic.Int64 }

func newImageBudget(l Limits) *imageBudget {
	b := &imageBudget{}
	b.left.Store(l.ImageBytes)
	return b
}

// take draws n bytes and says whether they were there.
func (b *imageBudget) take(n int64) bool { return b.left.Add(-n) >= 0 }
