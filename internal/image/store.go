package image

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Options are the options of a store. The zero value is for root on Linux.
type Options struct {
	// UserXattr marks opaque directories with user.overlay.opaque. Overlay mounts with the option userxattr need it, and an
	// unprivileged user namespace can make only such mounts. The layers are in another folder than those of other stores.
	UserXattr bool
	// FirstID is added to the owners of unpacked files. Mounts in a user namespace can't map ids, so a store there has the
	// files with the ids that sandboxes have in that namespace.
	FirstID int
	// Platform is the default of Lookup and Pull; by default the host's.
	Platform Platform
	// Limits are the budgets of images.
	Limits Limits
	// Registries says how to reach registries: mirrors, plain HTTP, certificates.
	Registries Config
	// Keychain returns credentials; by default those of docker login (~/.docker/config.json or $DOCKER_CONFIG, with its
	// credential helpers).
	Keychain authn.Keychain
	// StallTimeout is how long a registry may send nothing; by default 30 s.
	StallTimeout time.Duration
	// RateWindow is how long a registry may send less than minRate; by default one minute.
	RateWindow time.Duration
	// DocumentTimeout is how long each place may take for a manifest or config, including tokens and all attempts; by default
	// one minute.
	DocumentTimeout time.Duration
	// Attempts is the number of attempts of a request before a transient failure is final; by default 4.
	Attempts int
	// RetryDelay is the pause before the second attempt. It doubles for each further attempt. By default it is 250 ms.
	RetryDelay time.Duration
	// Jobs is how many layers of an image are fetched at once; by default 4.
	Jobs int
	// NoSync doesn't flush files to disk before they become visible. A power failure may then leave an incomplete layer, but a
	// crash of Mayfly can't. It is for tests.
	NoSync bool
}

// Store is a directory of images. Any number of processes may use it at the same time. Its methods may be called from several
// goroutines, and it needs no Close.
type Store struct {
	root string
	opts Options
	// holdWithin is how long a hold waits for another process on an idle machine.
	holdWithin time.Duration
}

// Configured reports whether the settings have mirrors for a registry.
func (s *Store) Configured(registry string) bool {
	return len(s.opts.Registries.of(registry).Mirrors) > 0
}

// Open opens the store in the directory root. It doesn't access the disk: directories are made when they are needed.
func Open(root string, opts Options) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open image store %s: %w", root, err)
	}
	opts.Limits = opts.Limits.withDefaults()
	if opts.Platform == (Platform{}) {
		opts.Platform = HostPlatform()
	}
	if opts.Keychain == nil {
		opts.Keychain = authn.DefaultKeychain
	}
	if opts.StallTimeout <= 0 {
		opts.StallTimeout = 30 * time.Second
	}
	if opts.RateWindow <= 0 {
		opts.RateWindow = time.Minute
	}
	if opts.DocumentTimeout <= 0 {
		opts.DocumentTimeout = time.Minute
	}
	if opts.Attempts <= 0 {
		opts.Attempts = 4
	}
	if opts.RetryDelay <= 0 {
		opts.RetryDelay = 250 * time.Millisecond
	}
	if opts.Jobs <= 0 {
		opts.Jobs = 4
	}
	return &Store{root: abs, opts: opts, holdWithin: holdWithin}, nil
}

func (s *Store) tmpDir() string   { return filepath.Join(s.root, "tmp") }
func (s *Store) blobDir() string  { return filepath.Join(s.root, "blobs", "sha256") }
func (s *Store) imageDir() string { return filepath.Join(s.root, "images") }
func (s *Store) refDir() string   { return filepath.Join(s.root, "refs") }
func (s *Store) holdDir() string  { return filepath.Join(s.root, "holds") }
func (s *Store) lockDir() string  { return filepath.Join(s.root, "locks") }

func (s *Store) layerDir() string {
	if s.opts.UserXattr {
		return filepath.Join(s.root, "layers-userxattr")
	}
	return filepath.Join(s.root, "layers")
}

func (s *Store) gcLock() string                { return filepath.Join(s.lockDir(), "gc") }
func (s *Store) blobPath(h v1.Hash) string     { return filepath.Join(s.blobDir(), h.Hex) }
func (s *Store) imagePath(hex string) string   { return filepath.Join(s.imageDir(), hex+".json") }
func (s *Store) refPath(key string) string     { return filepath.Join(s.refDir(), key+".json") }
func (s *Store) layerPath(diff v1.Hash) string { return filepath.Join(s.layerDir(), layerName(diff)) }
func (s *Store) treePath(diff v1.Hash) string  { return filepath.Join(s.layerPath(diff), "tree") }

func layerName(diff v1.Hash) string { return diff.Algorithm + "-" + diff.Hex }

// prepare makes the store's directories. Only their owner may enter them, since a layer has files of many owners and modes that other
// users of the host must not reach.
func (s *Store) prepare() error {
	for _, d := range []string{s.root, s.tmpDir(), s.blobDir(), s.imageDir(), s.refDir(), s.holdDir(), s.lockDir(), s.layerDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make image store %s: %w", s.root, noSpace(err))
		}
	}
	return nil
}

// parseSHA256 parses a digest, which must be a SHA-256.
func parseSHA256(s string) (v1.Hash, error) {
	h, err := v1.NewHash(s)
	if err != nil {
		return v1.Hash{}, &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("digest %q", s), Err: err}
	}
	return h, checkSHA256(h)
}

func checkSHA256(h v1.Hash) error {
	raw, err := hex.DecodeString(h.Hex)
	if h.Algorithm != "sha256" || err != nil || len(raw) != 32 || hex.EncodeToString(raw) != h.Hex {
		return &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("digest %q: only sha256 digests are supported", h)}
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
