package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/mayfly-run/mayfly/internal/tool"
)

const (
	recordFormat = "mayfly-secret/1"
	recordSuffix = ".json"
	dataKeyBytes = 32

	// maxRecordBytes is more than the file of a value of MaxValueBytes has, whose value is in base64.
	maxRecordBytes = 2 << 20
)

// ErrTampered says that a file of the store isn't what the store wrote: it is damaged, was changed, or was moved from another place.
var ErrTampered = errors.New("it is damaged or was tampered with")

// record is the file of one secret.
type record struct {
	Format  string    `json:"format"`
	Name    string    `json:"name"`
	Version int       `json:"version"`
	Set     time.Time `json:"set"`
	Key     []byte    `json:"key"`   // the wrapped data key: an age file
	Value   []byte    `json:"value"` // nonce and AES-256-GCM ciphertext
}

// bound returns the associated data of the ciphertext. No two records share it, since a field can't contain a NUL.
func (r *record) bound() []byte {
	return fmt.Appendf(nil, "%s\x00%s\x00%d\x00%s", recordFormat, r.Name, r.Version, r.Set.UTC().Format(time.RFC3339Nano))
}

// seal encrypts a value with a new data key, and wraps that key for the recipient.
func seal(name string, version int, set time.Time, value []byte, to age.Recipient) (*record, error) {
	key := make([]byte, dataKeyBytes)
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	rec := &record{Format: recordFormat, Name: name, Version: version, Set: set.UTC().Truncate(time.Second)}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	rec.Value = aead.Seal(nil, nil, value, rec.bound())
	if rec.Key, err = wrap(key, to); err != nil {
		return nil, err
	}
	return rec, nil
}

// open decrypts the value. The error wraps *age.NoIdentityMatchError if the record is for other identities, and ErrTampered if it
// isn't what seal made.
func (r *record) open(ids []age.Identity) ([]byte, error) {
	key, err := unwrap(r.Key, ids)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	value, err := aead.Open(nil, nil, r.Value, r.bound())
	if err != nil {
		return nil, ErrTampered
	}
	return value, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// wrap encrypts a data key for an age recipient.
func wrap(key []byte, to age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, fmt.Errorf("wrap the data key: %w", err)
	}
	if _, err := w.Write(key); err != nil {
		return nil, fmt.Errorf("wrap the data key: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("wrap the data key: %w", err)
	}
	return out.Bytes(), nil
}

// unwrap decrypts a data key. The errors are those of [record.open].
func unwrap(wrapped []byte, ids []age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(wrapped), ids...)
	var foreign *age.NoIdentityMatchError
	if errors.As(err, &foreign) {
		return nil, fmt.Errorf("it was encrypted for a key other than this store's: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("its data key can't be unwrapped: %w", ErrTampered)
	}
	key, err := io.ReadAll(io.LimitReader(r, dataKeyBytes+1))
	if err != nil || len(key) != dataKeyBytes {
		clear(key)
		return nil, fmt.Errorf("its data key can't be unwrapped: %w", ErrTampered)
	}
	return key, nil
}

func (r *record) encode() []byte {
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // not reached: strings, numbers and the time of a year with four digits always encode
	}
	return append(data, '\n')
}

// decodeRecord parses the output of encode. It checks only the form; open checks the rest.
func decodeRecord(data []byte) (*record, error) {
	var r record
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrTampered, err)
	}
	switch {
	case r.Format != recordFormat:
		return nil, fmt.Errorf("its format is %q, but this version of mayfly knows only %s: %w", r.Format, recordFormat, ErrTampered)
	case !tool.ValidSecretName(r.Name), r.Version < 1:
		return nil, fmt.Errorf("its name or version is not valid: %w", ErrTampered)
	}
	return &r, nil
}

// readRecord reads the record at path. The error wraps fs.ErrNotExist if it doesn't exist.
func readRecord(path string) (*record, error) {
	data, err := readSmall(path, maxRecordBytes)
	if err != nil {
		return nil, err
	}
	rec, err := decodeRecord(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return rec, nil
}
