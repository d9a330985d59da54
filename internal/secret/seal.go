package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"filippo.io/age"
)

// Seal encrypts data for this store's key, so that it can be on a disk and only [Store.Unseal] can read it. A store without a key
// gets one without a passphrase. Sealed data can't be read after a rotation of the key.
func (s *Store) Seal(ctx context.Context, data []byte) ([]byte, error) {
	keys, err := s.keys(ctx)
	if errors.Is(err, errNoKey) || errors.Is(err, fs.ErrNotExist) {
		err = s.change(ctx, func() error {
			keys, err = s.keys(ctx)
			if errors.Is(err, errNoKey) {
				keys, err = s.create(ctx, "")
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("seal data: %w", err)
	}
	return encrypt(data, keys.latest.Recipient())
}

// Unseal decrypts the output of Seal. The error wraps ErrTampered if the data was changed.
func (s *Store) Unseal(ctx context.Context, sealed []byte) ([]byte, error) {
	keys, err := s.keys(ctx)
	if errors.Is(err, errNoKey) || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("unseal data: the key file that it was sealed for is missing from %s", s.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("unseal data: %w", err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), keys.all...)
	var foreign *age.NoIdentityMatchError
	if errors.As(err, &foreign) {
		return nil, errors.New("unseal data: it was sealed for another key, such as one from before mayfly secret rotate-key")
	}
	if err != nil {
		return nil, fmt.Errorf("unseal data: %w", ErrTampered)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unseal data: %w", ErrTampered)
	}
	return data, nil
}
