//go:build !linux

package image

import (
	"context"
	"io"
)

func (s *Store) unpackTar(context.Context, io.Reader, string, *imageBudget) (treeRecord, error) {
	return treeRecord{}, &Error{
		Kind: ErrUnsupported, Msg: "layers are unpacked for overlayfs, which only Linux has",
		Hint: "run mayfly in a Linux virtual machine",
	}
}

func syncTree(string) error { return nil }

func (s *Store) folders([]layerRecord, []treeRecord) ([]Folder, error) { return nil, nil }

func (s *Store) addLinkLayers(_ context.Context, _ *workDir, layers []layerRecord, trees []treeRecord) ([]layerRecord, []treeRecord, error) {
	return layers, trees, nil
}
