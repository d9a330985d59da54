package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// List returns one image for each reference and platform, sorted by canonical name. It leaves out images of which a part is missing;
// a pull repairs them.
func (s *Store) List() ([]*Image, error) {
	recs, err := s.refs()
	if err != nil {
		return nil, err
	}
	var all []*Image
	for _, rec := range recs {
		img, err := s.load(rec.refRecord)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, img)
	}
	slices.SortFunc(all, func(a, b *Image) int {
		return strings.Compare(a.Canonical+" "+a.Platform.String(), b.Canonical+" "+b.Platform.String())
	})
	return all, nil
}

type namedRef struct {
	refRecord
	path string
}

// refs reads all references, and skips those that can't be read. Mayfly writes records atomically, so something else has damaged
// such a record; a pull writes it again.
func (s *Store) refs() ([]namedRef, error) {
	entries, err := os.ReadDir(s.refDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var all []namedRef
	for _, e := range entries {
		n := namedRef{path: filepath.Join(s.refDir(), e.Name())}
		if err := readRecord(n.path, &n.refRecord); err != nil || checkSHA256(n.Manifest) != nil {
			continue
		}
		all = append(all, n)
	}
	return all, nil
}

// Details is everything that the store knows about an image.
type Details struct {
	*Image
	References  []string `json:"references"`   // all canonical names of the image, sorted
	RawManifest []byte   `json:"raw_manifest"` // unchanged from the registry
	RawConfig   []byte   `json:"raw_config"`
	Index       string   `json:"index,omitempty"` // digest of the multi-platform index that it was chosen from
}

// Inspect finds an image by reference, by digest, or by the beginning of its manifest's or config's digest. The error is of kind
// ErrNotFound, or of kind ErrAmbiguous if several images match.
func (s *Store) Inspect(id string) (*Details, error) {
	found, err := s.find(id)
	if err != nil {
		return nil, err
	}
	img, err := s.load(found[0].refRecord)
	if err != nil {
		return nil, err
	}
	d := &Details{Image: img, Index: found[0].Index}
	all, err := s.refs()
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.Manifest == found[0].Manifest && !slices.Contains(d.References, r.Canonical) {
			d.References = append(d.References, r.Canonical)
		}
	}
	slices.Sort(d.References)
	if d.RawManifest, err = s.document(found[0].Manifest); err != nil {
		return nil, fmt.Errorf("inspect %s: %w", id, err)
	}
	configID, err := parseSHA256(img.ID)
	if err != nil {
		return nil, err
	}
	if d.RawConfig, err = s.document(configID); err != nil {
		return nil, fmt.Errorf("inspect %s: %w", id, err)
	}
	return d, nil
}

// Remove removes a reference for all platforms or, for a digest or a short id, every reference to that image. It returns the
// canonical references that it removed. The layers stay until Prune.
func (s *Store) Remove(id string) ([]string, error) {
	found, err := s.find(id)
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, r := range found {
		if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return gone, fmt.Errorf("remove %s: %w", r.Canonical, err)
		}
		if !slices.Contains(gone, r.Canonical) {
			gone = append(gone, r.Canonical)
		}
	}
	return gone, nil
}

// find returns the references that match id, at least one. id is a short id only if it isn't a reference in the store.
func (s *Store) find(id string) ([]namedRef, error) {
	all, err := s.refs()
	if err != nil {
		return nil, err
	}
	var found []namedRef
	r, refErr := parseReference(id)
	if refErr == nil {
		for _, n := range all {
			if n.Canonical == r.canonical() || (r.digest() != "" && (n.Manifest.Hex == r.digest() || n.Index == "sha256:"+r.digest())) {
				found = append(found, n)
			}
		}
	}
	if len(found) > 0 {
		s.hostFirst(found)
		return found, nil
	}
	prefix := strings.TrimPrefix(id, "sha256:")
	if !isHex(prefix) {
		if refErr != nil {
			return nil, refErr
		}
		return nil, noSuchImage(id)
	}
	var manifests []v1.Hash
	for _, n := range all {
		if !strings.HasPrefix(n.Manifest.Hex, prefix) && !s.configBegins(n.Manifest, prefix) {
			continue
		}
		found = append(found, n)
		if !slices.Contains(manifests, n.Manifest) {
			manifests = append(manifests, n.Manifest)
		}
	}
	switch len(manifests) {
	case 0:
		return nil, noSuchImage(id)
	case 1:
		s.hostFirst(found)
		return found, nil
	default:
		return nil, &Error{Kind: ErrAmbiguous, Msg: fmt.Sprintf("%d images have an id that begins with %s", len(manifests), prefix), Hint: "write more of the id"}
	}
}

func noSuchImage(id string) error {
	return &Error{Kind: ErrNotFound, Msg: fmt.Sprintf("there is no image %s on this machine", id), Hint: "mayfly image ls lists the images"}
}

// hostFirst puts the references of the store's own platform first.
func (s *Store) hostFirst(refs []namedRef) {
	slices.SortStableFunc(refs, func(a, b namedRef) int {
		return boolRank(b.Platform == s.opts.Platform) - boolRank(a.Platform == s.opts.Platform)
	})
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *Store) configBegins(manifest v1.Hash, prefix string) bool {
	var rec imageRecord
	return readRecord(s.imagePath(manifest.Hex), &rec) == nil && strings.HasPrefix(rec.ConfigID.Hex, prefix)
}

func isHex(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}
