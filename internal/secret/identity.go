package secret

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
)

const (
	identityFile     = "identity.txt"
	nextIdentityFile = "identity.next"
	maxIdentityBytes = 64 << 10

	// ageMagic is the first line of an age file.
	ageMagic = "age-encryption.org/v1\n"
)

// errNoKey says that the store has neither a key file nor secrets.
var errNoKey = errors.New("the store has no key")

// keyring has the identities of a store.
type keyring struct {
	all    []age.Identity      // the keys for which secrets may be wrapped
	latest *age.X25519Identity // the key for which new secrets are wrapped
	locked bool                // the key has a passphrase
	next   *age.X25519Identity // the new key of a rotation that hasn't ended; otherwise nil
}

// keys reads the key, and the new key if a rotation is in progress or was killed. If there is no key file, the error is errNoKey for
// an empty store; for other stores it says that the secrets can't be opened.
func (s *Store) keys(ctx context.Context) (*keyring, error) {
	current, locked, err := s.identity(ctx, identityFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.missingKey()
	}
	if err != nil {
		return nil, err
	}
	ring := &keyring{all: []age.Identity{current}, latest: current, locked: locked}
	next, _, err := s.identity(ctx, nextIdentityFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		ring.all = append(ring.all, next)
		ring.latest, ring.next = next, next
	}
	return ring, nil
}

func (s *Store) missingKey() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), recordSuffix) {
			return fmt.Errorf("the key file %s is missing, and without it the secrets can't be opened; restore it from a backup, or remove the secrets and set them again", filepath.Join(s.dir, identityFile))
		}
	}
	return errNoKey
}

// identity reads a key file, and unlocks it if it has a passphrase.
func (s *Store) identity(ctx context.Context, name string) (id *age.X25519Identity, locked bool, err error) {
	path := filepath.Join(s.dir, name)
	if err := checkPrivate(path); err != nil {
		return nil, false, err
	}
	content, err := readSmall(path, maxIdentityBytes)
	if err != nil {
		return nil, false, err
	}
	defer clear(content)
	if bytes.HasPrefix(content, []byte(ageMagic)) {
		id, err = s.unlock(ctx, path, content)
		return id, true, err
	}
	id, err = parseIdentity(content)
	if err != nil {
		return nil, false, fmt.Errorf("read key file %s: %w", path, err)
	}
	return id, false, nil
}

// parseIdentity parses a key file such as age-keygen writes, which must have exactly one X25519 identity.
func parseIdentity(content []byte) (*age.X25519Identity, error) {
	ids, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil {
		// The error of age may repeat a line of the file.
		return nil, errors.New("it isn't an age key file; restore it from a backup")
	}
	if len(ids) == 1 {
		if id, ok := ids[0].(*age.X25519Identity); ok {
			return id, nil
		}
	}
	return nil, errors.New("it must have exactly one X25519 identity, such as age-keygen makes")
}

// unlock decrypts a key file. It uses the passphrase that has opened another file of this store; otherwise it asks.
func (s *Store) unlock(ctx context.Context, path string, content []byte) (*age.X25519Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha256.Sum256(content)
	if id := s.unlocked[sum]; id != nil {
		return id, nil
	}
	if s.passphrase == "" {
		pass, err := s.ask(ctx, path)
		if err != nil {
			return nil, err
		}
		if len(pass) == 0 {
			return nil, fmt.Errorf("unlock %s: the passphrase is empty", path)
		}
		s.passphrase = string(pass)
		clear(pass)
	}
	scrypt, err := age.NewScryptIdentity(s.passphrase)
	if err != nil {
		return nil, fmt.Errorf("unlock %s: %w", path, err)
	}
	r, err := age.Decrypt(bytes.NewReader(content), scrypt)
	if err != nil {
		s.passphrase = ""
		var foreign *age.NoIdentityMatchError
		if errors.As(err, &foreign) {
			return nil, fmt.Errorf("unlock %s: wrong passphrase", path)
		}
		return nil, fmt.Errorf("unlock %s: %w (%w)", path, ErrTampered, err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxIdentityBytes))
	defer clear(plain)
	if err != nil {
		return nil, fmt.Errorf("unlock %s: %w", path, ErrTampered)
	}
	id, err := parseIdentity(plain)
	if err != nil {
		return nil, fmt.Errorf("unlock %s: %w", path, err)
	}
	s.unlocked[sum] = id
	return id, nil
}

// encodeIdentity returns the content of a key file, which is encrypted unless the passphrase is empty.
func (s *Store) encodeIdentity(id *age.X25519Identity, passphrase string) ([]byte, error) {
	plain := fmt.Appendf(nil, "# the key of mayfly's secrets; anyone who has it can read them\n# created: %s\n# public key: %s\n%s\n",
		time.Now().UTC().Format(time.RFC3339), id.Recipient(), id)
	if passphrase == "" {
		return plain, nil
	}
	defer clear(plain)
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	if s.workFactor != 0 {
		to.SetWorkFactor(s.workFactor)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// create makes the key of a store without one. The caller holds the lock.
func (s *Store) create(ctx context.Context, passphrase string) (*keyring, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	if err := s.writeIdentity(identityFile, id, passphrase); err != nil {
		return nil, err
	}
	return s.keys(ctx)
}

// writeIdentity writes a key file, and remembers its passphrase and identity.
func (s *Store) writeIdentity(name string, id *age.X25519Identity, passphrase string) error {
	content, err := s.encodeIdentity(id, passphrase)
	if err != nil {
		return err
	}
	defer clear(content)
	if passphrase != "" {
		s.mu.Lock()
		s.passphrase = passphrase
		s.unlocked[sha256.Sum256(content)] = id
		s.mu.Unlock()
	}
	return s.write(filepath.Join(s.dir, name), content)
}
