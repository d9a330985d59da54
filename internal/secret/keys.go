package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/google/uuid"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/document"
)

// Keys are the keys of a server, whose secrets are in a database: age identities (X25519) in a folder, by which each version of
// a secret has its own data key wrapped, as in a [Store].
//
//	<dir>/<UUIDv7>.txt   one identity; the one with the last name seals, and all of them open
//
// Servers that share a database share the keys: each of them has a copy of the folder. A key that was added there is seen at the
// next use. The methods may be called from several goroutines.
type Keys struct {
	dir string

	mu     sync.Mutex
	read   time.Time // the folder's time of change when it was read
	latest *age.X25519Identity
	all    []age.Identity
}

// OpenKeys reads the keys in a folder, and makes the first one if there is none.
func OpenKeys(dir string) (*Keys, error) {
	k := &Keys{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the keys: %w", err)
	}
	if err := k.reload(); err != nil {
		return nil, err
	}
	if k.latest == nil {
		return k, k.Add()
	}
	return k, nil
}

// Add makes a new key, which seals from now on.
func (k *Keys) Add() error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	name, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	text := fmt.Sprintf("# public key: %s\n%s\n", id.Recipient(), id)
	if err := atomicfile.Write(filepath.Join(k.dir, name.String()+".txt"), []byte(text), atomicfile.Options{Durable: true}); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	return k.reload()
}

// reload reads the folder, unless it hasn't changed.
func (k *Keys) reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.dir)
	if err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	// A folder that changes twice within the clock's step has the same time.
	if info.ModTime().Equal(k.read) && time.Since(k.read) > time.Minute {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(k.dir, "*.txt"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	k.latest, k.all = nil, nil
	for _, file := range files {
		id, err := readKey(file)
		if err != nil {
			return fmt.Errorf("read the key %s: %w", file, err)
		}
		k.latest, k.all = id, append(k.all, id)
	}
	k.read = info.ModTime()
	return nil
}

func readKey(file string) (*age.X25519Identity, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := document.Read(f, maxIdentityBytes)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return age.ParseX25519Identity(line)
		}
	}
	return nil, errors.New("it has no identity")
}

func (k *Keys) current() (*age.X25519Identity, []age.Identity, error) {
	if err := k.reload(); err != nil {
		return nil, nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.latest == nil {
		return nil, nil, fmt.Errorf("there is no key in %s", k.dir)
	}
	return k.latest, k.all, nil
}

// Seal encrypts a version of a secret. Name, version and time are bound to it, so that it can't take another one's place.
func (k *Keys) Seal(name string, version int, set time.Time, value []byte) ([]byte, error) {
	latest, _, err := k.current()
	if err != nil {
		return nil, err
	}
	rec, err := seal(name, version, set, value, latest.Recipient())
	if err != nil {
		return nil, fmt.Errorf("seal secret %s: %w", name, err)
	}
	return rec.encode(), nil
}

// Open decrypts what Seal made. The error wraps ErrTampered if it isn't that version of that secret.
func (k *Keys) Open(name string, version int, sealed []byte) ([]byte, error) {
	rec, err := decodeRecord(sealed)
	if err != nil {
		return nil, fmt.Errorf("open secret %s: %w", name, err)
	}
	if rec.Name != name || rec.Version != version {
		return nil, fmt.Errorf("open secret %s: it is version %d of %s: %w", name, rec.Version, rec.Name, ErrTampered)
	}
	_, all, err := k.current()
	if err != nil {
		return nil, err
	}
	value, err := rec.open(all)
	if err != nil {
		return nil, fmt.Errorf("open secret %s: %w", name, err)
	}
	return value, nil
}

// Rewrap returns what Seal made with its data key wrapped for the key that seals now. It is the same if it was already.
func (k *Keys) Rewrap(sealed []byte) ([]byte, error) {
	rec, err := decodeRecord(sealed)
	if err != nil {
		return nil, err
	}
	latest, all, err := k.current()
	if err != nil {
		return nil, err
	}
	if _, err := unwrap(rec.Key, []age.Identity{latest}); err == nil {
		return sealed, nil
	}
	key, err := unwrap(rec.Key, all)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", rec.Name, err)
	}
	defer clear(key)
	if rec.Key, err = wrap(key, latest.Recipient()); err != nil {
		return nil, err
	}
	return rec.encode(), nil
}

// Values returns a sealer for values other than named secrets, such as a step's outputs.
func (k *Keys) Values() *KeyedValues { return &KeyedValues{k} }

// KeyedValues seals for the latest key of a server, and unseals with all of them. Its methods may be called from several goroutines.
type KeyedValues struct{ keys *Keys }

// Seal encrypts data.
func (v *KeyedValues) Seal(_ context.Context, data []byte) ([]byte, error) {
	latest, _, err := v.keys.current()
	if err != nil {
		return nil, err
	}
	return encrypt(data, latest.Recipient())
}

// Unseal decrypts the output of Seal, or of [SealFor] with the Recipient. The error wraps ErrTampered.
func (v *KeyedValues) Unseal(_ context.Context, sealed []byte) ([]byte, error) {
	_, all, err := v.keys.current()
	if err != nil {
		return nil, err
	}
	return decrypt(sealed, all...)
}

// Recipient is the public key for which others seal.
func (v *KeyedValues) Recipient() (string, error) {
	latest, _, err := v.keys.current()
	if err != nil {
		return "", err
	}
	return latest.Recipient().String(), nil
}

// Recipient is the public key of a box, for [SealFor].
func (b *Box) Recipient() string { return b.key.Recipient().String() }

// SealFor encrypts data for the box with a recipient.
func SealFor(recipient string, data []byte) ([]byte, error) {
	to, err := parseRecipient(recipient)
	if err != nil {
		return nil, err
	}
	return encrypt(data, to)
}

// CheckRecipient says whether [SealFor] takes a recipient.
func CheckRecipient(recipient string) error {
	_, err := parseRecipient(recipient)
	return err
}

func parseRecipient(text string) (*age.X25519Recipient, error) {
	r, err := age.ParseX25519Recipient(text)
	if err != nil {
		return nil, fmt.Errorf("read the public key: %w", err)
	}
	return r, nil
}
