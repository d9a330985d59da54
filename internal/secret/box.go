package secret

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"filippo.io/age"
)

// Box seals data that only this process can unseal: its key is only in memory. Its methods may be called from several goroutines
// at once.
type Box struct{ key *age.X25519Identity }

// NewBox returns a box with a new key.
func NewBox() (*Box, error) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &Box{key}, nil
}

// Seal encrypts data.
func (b *Box) Seal(_ context.Context, data []byte) ([]byte, error) {
	return encrypt(data, b.key.Recipient())
}

// To returns a sealer that seals for the recipient of another box or of a server, and unseals what was sealed for this box.
func (b *Box) To(recipient string) *Correspondence { return &Correspondence{b, recipient} }

// Correspondence seals for someone else, and unseals their answers.
type Correspondence struct {
	*Box
	to string
}

// Seal encrypts data for the recipient.
func (c *Correspondence) Seal(_ context.Context, data []byte) ([]byte, error) {
	return SealFor(c.to, data)
}

// Unseal decrypts the output of Seal. The error wraps ErrTampered if the data was changed or sealed by another box.
func (b *Box) Unseal(_ context.Context, sealed []byte) ([]byte, error) {
	return decrypt(sealed, b.key)
}

func decrypt(sealed []byte, keys ...age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), keys...)
	if err != nil {
		return nil, fmt.Errorf("unseal data: %w", ErrTampered)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unseal data: %w", ErrTampered)
	}
	return data, nil
}

func encrypt(data []byte, to age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("seal data: %w", err)
	}
	return out.Bytes(), nil
}
