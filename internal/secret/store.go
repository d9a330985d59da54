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
//	<dir>/identity.txt        the key: an age identity (X25519), which age encrypts if it has a passphrase
//	<dir>/identity.next       the new key, while RotateKey runs or after it was killed
//	<dir>/<hash>.json         the latest version of a secret; the hash is the SHA-256 of the name
//	<dir>/lock                locked with flock(2) by the process that changes something
//
// Each version of a secret has its own data key, which is wrapped for the age identity. The value is encrypted with AES-256-GCM,
// with the name, the version and the time as associated data, so a record can't replace another secret or another version. But
// someone who may write to the directory can put the whole file of an older version back without being detected.
//
// Names are hashed, since file systems differ in which names they accept and in whether "a" and "A" are the same.
type Store struct {
	dir        string
	ask        PassphraseFunc
	workFactor int                     // the base-2 logarithm of scrypt's work factor; 0 is age's default
	step       func(what string) error // called before each change on disk, where tests stop the store

	mu         sync.Mutex
	passphrase string
	unlocked   map[[sha256.Size]byte]*age.X25519Identity // by the content of the key file
}

// OpenStore returns the store in a directory. It doesn't read or make anything: a directory that doesn't exist is a store without
// secrets, and the first Set makes it.
func OpenStore(dir string) *Store {
	return &Store{
		dir: dir, ask: AskPassphrase,
		step:     func(string) error { return nil },
		unlocked: map[[sha256.Size]byte]*age.X25519Identity{},
	}
}

// Info describes a secret without opening it. If someone has changed the file, only Get detects it.
type Info struct {
	Name    string    `json:"name"`
	Version int       `json:"version"` // 1 at first, and one more with each Set
	Set     time.Time `json:"set"`     // when this version was set
}

// CheckName returns an error if a name can't be the name of a secret.
func CheckName(name string) error {
	if !tool.ValidSecretName(name) {
		return fmt.Errorf("%q can't be the name of a secret; use letters, digits, \".\", \"-\" and \"_\", at most 253 characters, and no \".\" at the start", name)
	}
	return nil
}

// path returns the path of a secret's record.
func (s *Store) path(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:])+recordSuffix)
}

// Get implements [Source].
func (s *Store) Get(ctx context.Context, name string) ([]byte, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	// A rotation may replace the key between the two reads. Then read both again.
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

// read reads the record of a secret. The error is a *NotFoundError if the secret doesn't exist.
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

// Set stores a new version of a secret, which replaces the version before it, and returns its number. A store without a key gets
// one without a passphrase.
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

// Remove removes a secret, which may be damaged. The error is a *NotFoundError if the secret doesn't exist.
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

// List returns the secrets, sorted by name. If some files can't be read, it returns the other secrets and an error that names the files.
func (s *Store) List() ([]Info, error) {
	records, err := s.records()
	list := make([]Info, 0, len(records))
	for _, rec := range records {
		list = append(list, Info{Name: rec.Name, Version: rec.Version, Set: rec.Set})
	}
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// records reads the records of all secrets. Its errors are those of List.
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
		case errors.Is(err, fs.ErrNotExist): // removed in the meantime
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
