package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
)

// ErrHasKey says that the store already has a key.
var ErrHasKey = errors.New("the store already has a key")

// Create makes the key of a store that has none, and protects it with a passphrase unless that is empty. The error wraps ErrHasKey if
// the store has a key.
func (s *Store) Create(ctx context.Context, passphrase []byte) error {
	return s.change(ctx, func() error {
		if _, err := os.Lstat(filepath.Join(s.dir, identityFile)); err == nil {
			return fmt.Errorf("%w; change its passphrase with: mayfly secret rotate-key --passphrase", ErrHasKey)
		}
		if err := s.missingKey(); !errors.Is(err, errNoKey) {
			return err
		}
		_, err := s.create(ctx, string(passphrase))
		return err
	})
}

// RotateKey replaces the key with a new one, and returns how many secrets it wrapped for it. The new key has the passphrase of the
// old one.
//
// Every secret stays readable if RotateKey is killed at any moment. It writes the new key to disk before it wraps the first secret,
// and replaces the old key with one rename after the last. Until then Get uses both keys, Set uses the new key, and another
// RotateKey continues where the killed one stopped.
func (s *Store) RotateKey(ctx context.Context) (wrapped int, err error) {
	err = s.change(ctx, func() error {
		keys, err := s.keys(ctx)
		if err != nil {
			return err
		}
		records, err := s.records()
		if err != nil {
			return err
		}
		// A damaged secret would stop the rotation halfway, so don't begin with one.
		if err := checkAll(records, keys); err != nil {
			return err
		}
		if keys.next == nil {
			if keys.next, err = s.beginRotation(keys); err != nil {
				return err
			}
		}
		for _, rec := range records {
			done, err := s.rewrap(rec, keys)
			if err != nil {
				return fmt.Errorf("secret %q: %w", rec.Name, err)
			}
			if done {
				wrapped++
			}
		}
		if err := s.step("replace the key"); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(s.dir, nextIdentityFile), filepath.Join(s.dir, identityFile)); err != nil {
			return err
		}
		return atomicfile.SyncDir(s.dir)
	})
	if err != nil {
		return 0, fmt.Errorf("rotate the key of %s: %w", s.dir, err)
	}
	return wrapped, nil
}

func checkAll(records []*record, keys *keyring) error {
	var wrong []error
	for _, rec := range records {
		value, err := rec.open(keys.all)
		clear(value)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("secret %q: %w; remove it first: mayfly secret rm %s", rec.Name, err, rec.Name))
		}
	}
	return errors.Join(wrong...)
}

// beginRotation makes and writes the new key.
func (s *Store) beginRotation(keys *keyring) (*age.X25519Identity, error) {
	next, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	return next, s.writeIdentity(nextIdentityFile, next, s.passphraseOf(keys))
}

// passphraseOf returns the passphrase of the keys, or "" if they have none.
func (s *Store) passphraseOf(keys *keyring) string {
	if !keys.locked {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passphrase
}

// rewrap wraps a secret's data key for the new key. It returns false if that has been done.
func (s *Store) rewrap(rec *record, keys *keyring) (bool, error) {
	if key, err := unwrap(rec.Key, []age.Identity{keys.next}); err == nil {
		clear(key)
		return false, nil
	}
	key, err := unwrap(rec.Key, keys.all)
	if err != nil {
		return false, err
	}
	defer clear(key)
	if rec.Key, err = wrap(key, keys.next.Recipient()); err != nil {
		return false, err
	}
	return true, s.write(s.path(rec.Name), rec.encode())
}

// SetPassphrase changes the passphrase of the key, or removes it if passphrase is empty. The key stays the same: someone who has a
// copy of it with the old passphrase can use it until RotateKey replaces it.
func (s *Store) SetPassphrase(ctx context.Context, passphrase []byte) error {
	return s.change(ctx, func() error {
		keys, err := s.keys(ctx)
		if err != nil {
			return err
		}
		if keys.next != nil {
			return errors.New("a rotation of the key was interrupted; finish it first: mayfly secret rotate-key")
		}
		return s.writeIdentity(identityFile, keys.latest, string(passphrase))
	})
}
