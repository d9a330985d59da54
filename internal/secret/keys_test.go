package secret

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	open := func() *Keys {
		t.Helper()
		k, err := OpenKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k, other := open(), open()
	set := time.Now()
	sealed, err := k.Seal("p.a", 1, set, []byte("treasure"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("treasure")) {
		t.Error("what is sealed has the value")
	}
	if value, err := other.Open("p.a", 1, sealed); err != nil || string(value) != "treasure" {
		t.Errorf("another server opens %q, %v", value, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another name":    func() ([]byte, error) { return k.Open("p.b", 1, sealed) },
		"another version": func() ([]byte, error) { return k.Open("p.a", 2, sealed) },
		"changed": func() ([]byte, error) {
			return k.Open("p.a", 1, bytes.Replace(sealed, []byte("p.a"), []byte("p.b"), 1))
		},
		"not a record": func() ([]byte, error) { return k.Open("p.a", 1, []byte("{}")) },
	} {
		if value, err := open(); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: %q, %v", name, value, err)
		}
	}

	// A rotation on one server is seen by the other.
	if err := k.Add(); err != nil {
		t.Fatal(err)
	}
	again, err := k.Rewrap(sealed)
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("rewrapped: changed %v, %v", !bytes.Equal(again, sealed), err)
	}
	for name, one := range map[string][]byte{"the old key": sealed, "the new key": again} {
		if value, err := other.Open("p.a", 1, one); err != nil || string(value) != "treasure" {
			t.Errorf("wrapped for %s: %q, %v", name, value, err)
		}
	}
	if same, err := other.Rewrap(again); err != nil || !bytes.Equal(same, again) {
		t.Errorf("rewrapped twice: changed %v, %v", !bytes.Equal(same, again), err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) != 2 {
		t.Fatalf("keys %q, %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f, info.Mode(), err)
		}
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	k = open()
	if _, err := k.Open("p.a", 1, sealed); err == nil {
		t.Error("what was sealed for the old key is opened without it")
	}
	if value, err := k.Open("p.a", 1, again); err != nil || string(value) != "treasure" {
		t.Errorf("with the new key alone: %q, %v", value, err)
	}
}

func TestSealFor(t *testing.T) {
	a, err := NewBox()
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBox()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := SealFor(a.Recipient(), []byte("treasure"))
	if err != nil {
		t.Fatal(err)
	}
	if value, err := a.Unseal(t.Context(), sealed); err != nil || string(value) != "treasure" {
		t.Errorf("its box: %q, %v", value, err)
	}
	if value, err := b.Unseal(t.Context(), sealed); err == nil {
		t.Errorf("another box: %q", value)
	}
	if _, err := SealFor("age1", nil); err == nil {
		t.Error("a recipient that isn't one is taken")
	}
}
