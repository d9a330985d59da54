package secret

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestSeal(t *testing.T) {
	store := OpenStore(filepath.Join(t.TempDir(), "not", "there", "yet"))
	data := []byte("correct-horse-battery\x00\n")
	sealed, err := store.Seal(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, data[:10]) {
		t.Error("the sealed data is readable")
	}
	again, err := store.Unseal(t.Context(), sealed)
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("Unseal = %q, %v; want %q", again, err, data)
	}
	other := bytes.Clone(sealed)
	other[len(other)-1] ^= 1
	if _, err := store.Unseal(t.Context(), other); !errors.Is(err, ErrTampered) {
		t.Errorf("changed data: %v", err)
	}
	if _, err := OpenStore(t.TempDir()).Unseal(t.Context(), sealed); err == nil || !strings.Contains(err.Error(), "key file that it was sealed for is missing") {
		t.Errorf("in a store without a key: %v", err)
	}
	foreign := OpenStore(filepath.Join(t.TempDir(), "other"))
	if _, err := foreign.Seal(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.Unseal(t.Context(), sealed); err == nil || !strings.Contains(err.Error(), "sealed for another key") {
		t.Errorf("in another store: %v", err)
	}
}
