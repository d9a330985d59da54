package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// edit changes the record of a secret.
func edit(t *testing.T, s *Store, name string, change func(*record)) {
	t.Helper()
	rec, err := readRecord(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	change(rec)
	put(t, s.path(name), string(rec.encode()))
}

func TestTampering(t *testing.T) {
	raw := func(t *testing.T, s *Store, name string) *record {
		rec, err := readRecord(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	for _, tc := range []struct {
		name  string
		do    func(t *testing.T, s *Store)
		found bool
	}{
		{"nothing", func(*testing.T, *Store) {}, false},
		{"file of another secret", func(t *testing.T, s *Store) { put(t, s.path("a"), string(raw(t, s, "b").encode())) }, true},
		{"renamed record", func(t *testing.T, s *Store) {
			b := raw(t, s, "b")
			b.Name = "a"
			put(t, s.path("a"), string(b.encode()))
		}, true},
		{"value of another secret", func(t *testing.T, s *Store) {
			b := raw(t, s, "b")
			edit(t, s, "a", func(r *record) { r.Key, r.Value = b.Key, b.Value })
		}, true},
		{"older version as a newer", func(t *testing.T, s *Store) {
			old := raw(t, s, "a")
			set(t, s, "a", "new value")
			old.Version = 2
			put(t, s.path("a"), string(old.encode()))
		}, true},
		{"version", func(t *testing.T, s *Store) { edit(t, s, "a", func(r *record) { r.Version++ }) }, true},
		{"time", func(t *testing.T, s *Store) { edit(t, s, "a", func(r *record) { r.Set = r.Set.Add(time.Hour) }) }, true},
		{"value bit", func(t *testing.T, s *Store) { edit(t, s, "a", func(r *record) { r.Value[len(r.Value)/2] ^= 1 }) }, true},
		{"nonce bit", func(t *testing.T, s *Store) { edit(t, s, "a", func(r *record) { r.Value[0] ^= 1 }) }, true},
		{"value cut", func(t *testing.T, s *Store) { edit(t, s, "a", func(r *record) { r.Value = r.Value[:5] }) }, true},
		{"key bit", func(t *testing.T, s *Store) { edit(t, s, "a", func(r *record) { r.Key[len(r.Key)-1] ^= 1 }) }, true},
		{"key of another version", func(t *testing.T, s *Store) {
			old := raw(t, s, "a")
			set(t, s, "a", "new value")
			edit(t, s, "a", func(r *record) { r.Key = old.Key })
		}, true},
		{"no JSON", func(t *testing.T, s *Store) { put(t, s.path("a"), "{") }, true},
		{"empty", func(t *testing.T, s *Store) { put(t, s.path("a"), "") }, true},
		{"other format", func(t *testing.T, s *Store) { edit(t, s, "a", func(r *record) { r.Format = "x" }) }, true},
		{"endless", func(t *testing.T, s *Store) { put(t, s.path("a"), strings.Repeat(" ", maxRecordBytes+1)) }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t)
			set(t, s, "a", "value of a")
			set(t, s, "b", "value of b")
			tc.do(t, s)
			value, err := s.Get(t.Context(), "a")
			if !tc.found {
				wantValue(t, s, "a", "value of a")
				return
			}
			if !errors.Is(err, ErrTampered) || value != nil {
				t.Fatalf("Get = %q, %v", value, err)
			}
			if !strings.Contains(err.Error(), s.dir) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the error doesn't say where, or says that the secret is absent: %v", err)
			}
			wantValue(t, s, "b", "value of b")
			if _, err := s.RotateKey(t.Context()); err == nil {
				t.Error("a rotation began with a damaged secret")
			}
			if _, err := os.Stat(filepath.Join(s.dir, nextIdentityFile)); err == nil {
				t.Error("the rotation left a key")
			}
			// The errors say to remove the secret.
			if err := s.Remove(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.RotateKey(t.Context()); err != nil {
				t.Errorf("after the removal: %v", err)
			}
			set(t, s, "a", "again")
			wantValue(t, s, "a", "again")
		})
	}
}

func TestKeyFile(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		do         func(t *testing.T, path string)
	}{
		{"missing", "is missing", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}},
		{"no key", "isn't an age key file", func(t *testing.T, path string) { put(t, path, "hello AGE-SECRET-KEY-1CANARY") }},
		{"other key", "encrypted for a key other than", func(t *testing.T, path string) {
			other := newStore(t)
			set(t, other, "x", "y")
			put(t, path, everything(t, other.dir)[identityFile])
		}},
		{"damaged, with a passphrase", "damaged", func(t *testing.T, path string) { put(t, path, ageMagic+"-> scrypt") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t)
			set(t, s, "a", "value")
			tc.do(t, filepath.Join(s.dir, identityFile))
			_, err := openAgain(s.dir, "pass").Get(t.Context(), "a")
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("Get: got %v, want …%s…", err, tc.want)
			}
			// A new key would hide that the old one is gone.
			if _, err := openAgain(s.dir, "pass").Set(t.Context(), "b", []byte("value")); tc.name == "missing" && err == nil {
				t.Error("Set made a new key although there are secrets for another key")
			}
		})
	}
}

func TestListSaysWhatIsWrongAndTheRest(t *testing.T) {
	s := newStore(t)
	set(t, s, "a", "1")
	set(t, s, "b", "2")
	put(t, filepath.Join(s.dir, "zz"+recordSuffix), everything(t, s.dir)[filepath.Base(s.path("b"))])
	put(t, s.path("a"), "{")
	list, err := s.List()
	if !errors.Is(err, ErrTampered) || !slices.ContainsFunc(list, func(i Info) bool { return i.Name == "b" }) || len(list) != 1 {
		t.Errorf("List = %v, %v", list, err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(`{"format":"mayfly-secret/1","name":"a","version":1,"set":"2026-01-01T00:00:00Z","key":"YQ==","value":"YQ=="}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := decodeRecord(data)
		if err != nil {
			if !errors.Is(err, ErrTampered) {
				t.Fatalf("%v isn't ErrTampered", err)
			}
			return
		}
		if _, err := rec.open(nil); err == nil {
			t.Fatal("the record opens without a key")
		}
		again, err := decodeRecord(rec.encode())
		if err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(rec)
		b, _ := json.Marshal(again)
		if !bytes.Equal(a, b) {
			t.Fatalf("%s became %s", a, b)
		}
	})
}
