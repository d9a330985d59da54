package secret

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Store is a directory of encrypted secrets. Any number of processes may use it at once.
//
//	<dir>/identity.txt        the key: an age identity (X25519), itself encrypted by age when it has a passphrase
//	<dir>/identity.next       the coming key, while RotateKey is at work or after it was killed
//	<dir>/<hash>.json         one secret, in its latest version; the hash is SHA-256 of the name
//	<dir>/lock                flocked by whoever changes something
//
// Each version of a secret is encrypted by AES-256-GCM under a data key of its own, with the name, the version and the
// time as associated data, and the data key is wrapped for the age identity: nothing can be put in the place of
// another secret or of another version. What encryption can't tell is that the whole file of an older version was put
// back, by someone who may write to the directory.
//
// A name is hashed since file systems differ in what they take for a name and in whether "a" and "A" are the same.
type Store struct {
	dir        string
	ask        PassphraseFunc
	workFactor int                     // of scrypt, as a power of two; 0 is age's default
	step       func(what string) error // called before each change on disk; tests stop there

	mu         sync.Mutex
	passphrase string
	unlocked   map[[sha256.Size]byte]*age.X25519Identity // by the content of the key file
}

// OpenStore returns the store of a directory. Nothing is read or made: a directory that isn't there is a store without
// secrets, and the first Set makes it.
func OpenStore(dir string) *Store {
	return &Store{
		dir: dir, ask: AskPassphrase,
		step:     func(string) error { return nil },
		unlocked: map[[sha256.Size]byte]*age.X25519Identity{},
	}
}

// Info is what can be known of a secret without opening it. It is as good as the file is: only Get finds out that
// someone changed it.
type Info struct {
	Name    string    `json:"name"`
	Version int       `json:"version"` // from 1, one more with each Set
	Set     time.Time `json:"set"`     // when this version was set
}

// CheckName says what is wrong with a name, if anything.
func CheckName(name string) error {
	if !tool.ValidSecretName(name) {
		return fmt.Errorf("%q can't be the name of a secret; use letters, digits, \".\", \"-\" and \"_\", at most 253 and no \".\" at the start", name)
	}
	return nil
}

// path is where a secret is kept.
func (s *Store) path(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:])+recordSuffix)
}

// Get is Source's.
func (s *Store) Get(ctx context.Context, name string) ([]byte, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	// A rotation may replace the key between the two reads; then both are read again.
	for attempt := 1; ; attempt++ {
		rec, err := s.read(name)
		if err != nil {
			return nil, err
		}
		keys, err := s.keys(ctx)
		if err != nil {
			return nil, fmt.Errorf("open secret %q: %w", name, err)
		}
		value, err := rec.open(keys.all)
		if err == nil {
			return value, nil
		}
		var foreign *age.NoIdentityMatchError
		if attempt == 5 || !errors.As(err, &foreign) {
			return nil, fmt.Errorf("open secret %q in %s: %w", name, s.path(name), err)
		}
	}
}

// read reads the record of a secret; *NotFoundError if there is none.
func (s *Store) read(name string) (*record, error) {
	absent := &NotFoundError{Name: name, Searched: []string{"store " + s.dir}}
	if err := checkPrivate(s.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, absent
	} else if err != nil {
		return nil, err
	}
	rec, err := readRecord(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent
	}
	if err == nil && rec.Name != name {
		err = fmt.Errorf("%s is the file of secret %q, not of %q: %w", s.path(name), rec.Name, name, ErrTampered)
	}
	return rec, err
}

// Set stores a new version of a secret and returns its number. The version before it is gone when Set returns. A store
// that has no key yet gets one without a passphrase.
func (s *Store) Set(ctx context.Context, name string, value []byte) (version int, err error) {
	if err := CheckName(name); err != nil {
		return 0, err
	}
	if len(value) > MaxValueBytes {
		return 0, fmt.Errorf("set secret %q: %w", name, errTooLarge)
	}
	err = s.change(ctx, func() error {
		keys, err := s.keys(ctx)
		if errors.Is(err, errNoKey) {
			keys, err = s.create(ctx, "")
		}
		if err != nil {
			return err
		}
		before, err := s.read(name)
		var absent *NotFoundError
		switch {
		case errors.As(err, &absent):
			version = 1
		case errors.Is(err, ErrTampered):
			return fmt.Errorf("%w; remove it first: mayfly secret rm %s", err, name)
		case err != nil:
			return err
		default:
			version = before.Version + 1
		}
		rec, err := seal(name, version, time.Now(), value, keys.latest.Recipient())
		if err != nil {
			return err
		}
		return s.write(s.path(name), rec.encode())
	})
	if err != nil {
		return 0, fmt.Errorf("set secret %q: %w", name, err)
	}
	return version, nil
}

// Remove removes a secret; its error is a *NotFoundError if there is none. A damaged one can be removed too.
func (s *Store) Remove(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	absent := &NotFoundError{Name: name, Searched: []string{"store " + s.dir}}
	if _, err := os.Lstat(s.path(name)); errors.Is(err, fs.ErrNotExist) {
		return absent
	}
	return s.change(ctx, func() error {
		if err := s.step("remove " + name); err != nil {
			return err
		}
		err := os.Remove(s.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			return absent
		}
		if err != nil {
			return fmt.Errorf("remove secret %q: %w", name, err)
		}
		return atomicfile.SyncDir(s.dir)
	})
}

// List lists the secrets by name. With files that can't be read it returns the others, and an error that names them.
func (s *Store) List() ([]Info, error) {
	records, err := s.records()
	list := make([]Info, 0, len(records))
	for _, rec := range records {
		list = append(list, Info{Name: rec.Name, Version: rec.Version, Set: rec.Set})
	}
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// records reads the records of all secrets, as List does.
func (s *Store) records() ([]*record, error) {
	if err := checkPrivate(s.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	var list []*record
	var wrong []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), recordSuffix) {
			continue
		}
		path := filepath.Join(s.dir, e.Name())
		rec, err := readRecord(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed since
		case err != nil:
			wrong = append(wrong, err)
		case s.path(rec.Name) != path:
			wrong = append(wrong, fmt.Errorf("%s says that it is secret %q, whose file has another name: %w", path, rec.Name, ErrTampered))
		default:
			list = append(list, rec)
		}
	}
	return list, errors.Join(wrong...)
}
