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

// ErrHasKey says that the store has a key already.
var ErrHasKey = errors.New("the store has a key already")

// Create makes the key of a store that has none, behind a passphrase unless that is empty. Its error is ErrHasKey if
// there is one.
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

// RotateKey replaces the key by a new one, and returns how many secrets it wrapped anew. The new key has the
// passphrase of the old one.
//
// It may be killed at any moment and every secret can still be read: the new key is on disk before the first secret is
// wrapped for it, and replaces the old one, in one rename, after the last. Until then Get knows both, Set uses the new
// one, and another RotateKey takes up where the killed one was.
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
		// Nothing is begun that a damaged secret would keep from being ended.
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

// beginRotation makes the new key.
func (s *Store) beginRotation(keys *keyring) (*age.X25519Identity, error) {
	next, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	return next, s.writeIdentity(nextIdentityFile, next, s.passphraseOf(keys))
}

// passphraseOf is what unlocked the keys; empty if they had no lock.
func (s *Store) passphraseOf(keys *keyring) string {
	if !keys.locked {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passphrase
}

// rewrap wraps a secret's data key for the new key, unless that has been done.
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

// SetPassphrase puts the key behind another passphrase, or behind none if it is empty. The key is the same: whoever
// has a copy of it under the old passphrase needs RotateKey to be kept out.
func (s *Store) SetPassphrase(ctx context.Context, passphrase []byte) error {
	return s.change(ctx, func() error {
		keys, err := s.keys(ctx)
		if err != nil {
			return err
		}
		if keys.next != nil {
			return errors.New("a rotation of the key was interrupted; end it first: mayfly secret rotate-key")
		}
		return s.writeIdentity(identityFile, keys.latest, string(passphrase))
	})
}
