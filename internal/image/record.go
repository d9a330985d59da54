package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// imageRecord is images/<manifest hex>.json: everything that a start needs, so that it doesn't parse the manifest and the config.
type imageRecord struct {
	Manifest v1.Hash       `json:"manifest"`
	ConfigID v1.Hash       `json:"config_id"`
	Platform Platform      `json:"platform"`
	Config   RunConfig     `json:"config"`
	Layers   []layerRecord `json:"layers"` // in the manifest's order, with the layers of links
	Created  time.Time     `json:"created,omitzero"`
	Folders  []Folder      `json:"folders,omitempty"`
}

type layerRecord struct {
	DiffID v1.Hash `json:"diff_id"`
	Digest v1.Hash `json:"digest"`
	Blob   int64   `json:"blob"`
	Size   int64   `json:"size"`
}

// refRecord is refs/<key>.json.
type refRecord struct {
	Written   string    `json:"written"`
	Canonical string    `json:"canonical"`
	Platform  Platform  `json:"platform"` // as requested
	Manifest  v1.Hash   `json:"manifest"`
	Index     string    `json:"index,omitempty"` // digest of the multi-platform index that it was chosen from
	Pulled    time.Time `json:"pulled"`
}

// treeRecord is layers/…/layer.json.
type treeRecord struct {
	DiffID  v1.Hash `json:"diff_id"`
	Entries int64   `json:"entries"`
	Bytes   int64   `json:"bytes"`
	Dropped int64   `json:"dropped,omitempty"` // devices and FIFOs, which are left out
	// Implied are folders that contain files of the layer but that the layer doesn't list.
	Implied []string `json:"implied,omitempty"`
	// LinksBelow are hard links to files of layers below.
	LinksBelow []linkBelow `json:"links_below,omitempty"`
}

const maxRecordBytes = 16 << 20

// readRecord reads a JSON file that the store wrote. The error wraps fs.ErrNotExist if it doesn't exist.
func readRecord(path string, into any) error {
	raw, err := readSmall(path, maxRecordBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// Lookup finds an image in the store by tag or digest, for the store's platform. It reads two small files, and doesn't ask a registry.
// The error is of kind ErrNotFound if the image or one of its layers is missing.
func (s *Store) Lookup(ref string) (*Image, error) { return s.LookupPlatform(ref, s.opts.Platform) }

// LookupPlatform is like Lookup, for a given platform.
func (s *Store) LookupPlatform(ref string, p Platform) (*Image, error) {
	r, err := parseReference(ref)
	if err != nil {
		return nil, err
	}
	var rec refRecord
	err = readRecord(s.refPath(r.key(p)), &rec)
	switch {
	case errors.Is(err, fs.ErrNotExist) && r.digest() != "":
		// A digest identifies its content, whatever reference was pulled.
		rec = refRecord{Canonical: r.canonical(), Platform: p, Manifest: v1.Hash{Algorithm: "sha256", Hex: r.digest()}}
	case errors.Is(err, fs.ErrNotExist):
		return nil, notPulled(ref, p)
	case err != nil:
		return nil, fmt.Errorf("look up %s: %w", ref, err)
	}
	rec.Written = r.written
	return s.load(rec)
}

func notPulled(ref string, p Platform) error {
	return &Error{Kind: ErrNotFound, Msg: fmt.Sprintf("image %s for %s isn't on this machine", ref, p), Hint: "pull it first"}
}

// load returns the image of a reference's record. The error is of kind ErrNotFound if a part is missing.
func (s *Store) load(rec refRecord) (*Image, error) {
	r, err := parseReference(rec.Canonical)
	if err != nil {
		return nil, err
	}
	if err := checkSHA256(rec.Manifest); err != nil {
		return nil, err
	}
	var ir imageRecord
	err = readRecord(s.imagePath(rec.Manifest.Hex), &ir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notPulled(rec.Written, rec.Platform)
	}
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", rec.Written, err)
	}
	img := &Image{
		Reference: rec.Written, Canonical: r.canonical(), Digest: r.repository() + "@" + rec.Manifest.String(),
		ID: ir.ConfigID.String(), Platform: ir.Platform, Config: ir.Config, Created: ir.Created, Pulled: rec.Pulled, Folders: ir.Folders,
		HoldFile: s.imagePath(rec.Manifest.Hex),
	}
	for i, l := range ir.Layers {
		again := slices.ContainsFunc(ir.Layers[i+1:], func(o layerRecord) bool { return o.DiffID == l.DiffID })
		if again {
			continue
		}
		if err := checkSHA256(l.DiffID); err != nil {
			return nil, err
		}
		path := s.treePath(l.DiffID)
		if ok, err := exists(path); err != nil {
			return nil, fmt.Errorf("look up %s: %w", rec.Written, err)
		} else if !ok {
			return nil, notPulled(rec.Written, rec.Platform)
		}
		img.Size += l.Size
		img.Layers = append(img.Layers, Layer{
			DiffID: l.DiffID.String(), Digest: l.Digest.String(), Path: path, Blob: l.Blob, Size: l.Size,
		})
	}
	return img, nil
}
