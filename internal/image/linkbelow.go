package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Some layers have hard links to files of the layers below. The image-spec requires both names in one layer, but builders write such
// links, and engines that unpack each layer onto the one below accept them. Here each layer is unpacked by itself, once for all
// images, and the layers below it depend on the image:
//
//	unpacking     the layer's record notes the link
//	publishing    the image gets an additional layer of links above the layer: a second name in the store for each file
const (
	// maxLinksBelow is the largest number of links to layers below in an image. Each needs a search, and perhaps a folder.
	maxLinksBelow = 1000
	// maxLinkBytes is the largest size in bytes of the names of a layer's links, which are in its record.
	maxLinkBytes = 1 << 20
)

// linkBelow is a hard link to a file of a layer below. Both names are clean.
type linkBelow struct {
	Name   string `json:"name"`
	Target string `json:"target"`
}

// linkLayerID returns the id of the layer of links above the last of layers. Its content depends on all of them.
func linkLayerID(layers []v1.Hash) v1.Hash {
	sum := sha256.New()
	for _, l := range layers {
		fmt.Fprintln(sum, "links onto", l)
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
}
