package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A hard link to a file of a layer below. The image-spec wants both names in one layer, but builders write such links,
// and those who unpack one layer onto the other take them. Here a layer is unpacked by itself, once for all images, and
// what is below it is the image's affair:
//
//	unpacking     the link is noted in the layer's record
//	publishing    a layer of links is put onto the layer, for this image: a second name in the store for each file
const (
	// maxLinksBelow bounds those of an image: each is looked for in the layers below, and may need a folder.
	maxLinksBelow = 1000
	// maxLinkBytes bounds the names of a layer's, which are in its record.
	maxLinkBytes = 1 << 20
)

// linkBelow is one such link; both names are clean.
type linkBelow struct {
	Name   string `json:"name"`
	Target string `json:"target"`
}

// linkLayerID names the layer of links onto the last of layers: what it holds follows from all of them.
func linkLayerID(layers []v1.Hash) v1.Hash {
	sum := sha256.New()
	for _, l := range layers {
		fmt.Fprintln(sum, "links onto", l)
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
}
