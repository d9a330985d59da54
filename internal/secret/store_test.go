package secret

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// newStore returns a store in a directory that doesn't exist yet. Its passphrases are fast to check.
func newStore(t *testing.T) *Store {
	t.Helper()
	return openAgain(filepath.Join(t.TempDir(), "secrets"), "")
}

// openAgain opens a store as another process would. If passphrase is empty, asking for it is an error.
func openAgain(dir, passphrase string) *Store {
	s := OpenStore(dir)
	s.ask = func(context.Context, string) ([]byte, error) {
		if passphrase == "" {
			return nil, errors.New("a passphrase was asked for")
		}
		return []byte(passphrase), nil
	}
	s.workFactor = 5
	return s
}

func set(t *testing.T, s *Store, name, value string) int {
	t.Helper()
	version, err := s.Set(t.Context(), name, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func wantValue(t *testing.T, s *Store, name, want string) {
	t.Helper()
	got, err := s.Get(t.Context(), name)
	if err != nil || string(got) != want {
		t.Errorf("Get(%s) = %q, %v; want %q", name, got, err, want)
	}
}

func TestStore(t *testing.T) {
	s := newStore(t)
	ctx := t.Context()
	if list, err := s.List(); len(list) != 0 || err != nil {
		t.Errorf("List of an empty store = %v, %v", list, err)
	}
	_, err := s.Get(ctx, "token")
	if want := fmt.Sprintf(`secret "token" not found; looked in: store %s; set it with: mayfly secret set token`, s.dir); err == nil || err.Error() != want {
		t.Errorf("Get of an absent secret: got %v, want %s", err, want)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made the store: %v", err)
	}
	if v := set(t, s, "token", "one"); v != 1 {
		t.Errorf("Set = %d, want version 1", v)
	}
	if v := set(t, s, "token", "two"); v != 2 {
		t.Errorf("Set = %d, want version 2", v)
	}
	set(t, s, "Token", "other case")
	set(t, s, "empty", "")
	wantValue(t, s, "token", "two")
	again := openAgain(s.dir, "")
	wantValue(t, again, "token", "two")
	wantValue(t, again, "Token", "other case")
	wantValue(t, again, "empty", "")
	list, err := again.List()
	if err != nil || len(list) != 3 || list[0].Name != "Token" || list[2].Name != "token" || list[2].Version != 2 || time.Since(list[2].Set) > time.Minute {
		t.Errorf("List = %v, %v", list, err)
	}
	if err := s.Remove(ctx, "token"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.Remove(ctx, "token"), func() error { _, err := s.Get(ctx, "token"); return err }()} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after Remove: %v", err)
		}
	}
	if _, err := s.Set(ctx, "../x", nil); err == nil {
		t.Error("a path is accepted as a name")
	}
	if _, err := s.Set(ctx, "x", make([]byte, MaxValueBytes+1)); !errors.Is(err, errTooLarge) {
		t.Errorf("too large: %v", err)
	}
	wantValue(t, s, "empty", "")
}

func TestStoreKeepsAnyValue(t *testing.T) {
	s := newStore(t)
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z0-9_-][A-Za-z0-9._-]{0,60}`).Draw(rt, "name")
		value := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "value")
		if _, err := s.Set(t.Context(), name, value); err != nil {
			rt.Fatal(err)
		}
		if got, err := s.Get(t.Context(), name); err != nil || !bytes.Equal(got, value) {
			rt.Fatalf("Get = %q, %v; want %q", got, err, value)
		}
	})
	large := bytes.Repeat([]byte{0, 1, 2, 255}, MaxValueBytes/4)
	set(t, s, strings.Repeat("n", 253), string(large))
	wantValue(t, s, strings.Repeat("n", 253), string(large))
}

// everything returns the content of every file of a store.
func everything(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(content)
	}
	return files
}

// TestNothingReadableOnDisk is attack S01 on the store.
func TestNothingReadableOnDisk(t *testing.T) {
	const value, pass = "canary-value-5e1f", "canary-passphrase-77"
	s := newStore(t)
	if err := s.Create(t.Context(), []byte(pass)); err != nil {
		t.Fatal(err)
	}
	set(t, s, "name", "canary-value-first")
	set(t, s, "name", value)
	for file, content := range everything(t, s.dir) {
		for _, secret := range []string{value, "canary-value-first", pass, "AGE-SECRET-KEY", base64.StdEncoding.EncodeToString([]byte(value))[:12]} {
			if strings.Contains(content, secret) {
				t.Errorf("%s contains %s", file, secret)
			}
		}
	}
	for file, content := range everything(t, s.dir) {
		if strings.HasSuffix(file, recordSuffix) && strings.Count(content, `"version":2`) != 1 {
			t.Errorf("%s doesn't have only version 2: %s", file, content)
		}
	}
}

func TestPassphrase(t *testing.T) {
	s := newStore(t)
	ctx := t.Context()
	if err := s.Create(ctx, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(ctx, nil); !errors.Is(err, ErrHasKey) {
		t.Errorf("second Create: %v", err)
	}
	set(t, s, "a", "value")
	wantValue(t, openAgain(s.dir, "first"), "a", "value")
	if _, err := openAgain(s.dir, "wrong").Get(ctx, "a"); err == nil || !strings.Contains(err.Error(), "wrong passphrase") {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := openAgain(s.dir, "").Get(ctx, "a"); err == nil || !strings.Contains(err.Error(), "a passphrase was asked for") {
		t.Errorf("no passphrase: %v", err)
	}
	// The store asks once, and again only after a wrong passphrase.
	asked := 0
	s = OpenStore(s.dir)
	s.ask = func(context.Context, string) ([]byte, error) {
		asked++
		return []byte([]string{"wrong", "first"}[min(asked, 2)-1]), nil
	}
	s.workFactor = 5
	_, err := s.Get(ctx, "a")
	if err == nil {
		t.Error("a wrong passphrase opens the store")
	}
	for range 3 {
		wantValue(t, s, "a", "value")
	}
	if n, err := s.RotateKey(ctx); n != 1 || err != nil {
		t.Errorf("RotateKey = %d, %v", n, err)
	}
	if asked != 2 {
		t.Errorf("the store asked %d times, want 2", asked)
	}
	wantValue(t, openAgain(s.dir, "first"), "a", "value")
	if err := s.SetPassphrase(ctx, []byte("second")); err != nil {
		t.Fatal(err)
	}
	wantValue(t, openAgain(s.dir, "second"), "a", "value")
	if err := s.SetPassphrase(ctx, nil); err != nil {
		t.Fatal(err)
	}
	wantValue(t, openAgain(s.dir, ""), "a", "value")
}

func TestAskPassphraseWithoutATerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	put(t, file, "from the file\n")
	for _, tc := range []struct{ file, value, want, err string }{
		{file, "", "from the file", ""},
		{file, "ignored", "from the file", ""},
		{"", "from the variable", "from the variable", ""},
		{file + "x", "ignored", "", "read the passphrase ($MAYFLY_PASSPHRASE_FILE): open "},
	} {
		t.Setenv(PassphraseFileEnv, tc.file)
		t.Setenv(PassphraseEnv, tc.value)
		got, err := AskPassphrase(t.Context(), "key")
		if string(got) != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.HasPrefix(err.Error(), tc.err) {
			t.Errorf("%+v: %q, %v", tc, got, err)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	var all sync.WaitGroup
	fail := make(chan error, 100)
	for w := range 6 {
		all.Go(func() {
			s := openAgain(dir, "") // each goroutine stands for a process, which shares no memory with the others
			for i := range 8 {
				name := fmt.Sprintf("s%d", (w+i)%4)
				if _, err := s.Set(context.Background(), name, []byte("value of "+name)); err != nil {
					fail <- err
				}
				if w == 0 {
					if _, err := s.RotateKey(context.Background()); err != nil {
						fail <- err
					}
				}
				if got, err := s.Get(context.Background(), name); err != nil || string(got) != "value of "+name {
					fail <- fmt.Errorf("Get(%s) = %q, %w", name, got, err)
				}
			}
		})
	}
	all.Wait()
	close(fail)
	for err := range fail {
		t.Error(err)
	}
	// None of the 48 changes of 4 secrets is lost.
	list, err := openAgain(dir, "").List()
	total := 0
	for _, i := range list {
		total += i.Version
	}
	if err != nil || len(list) != 4 || total != 48 {
		t.Errorf("List = %v, %v; want 4 secrets with 48 versions in total", list, err)
	}
}

// TestReadingWhileTheKeyChanges has readers that may read a secret before a rotation and the key after it.
func TestReadingWhileTheKeyChanges(t *testing.T) {
	s := newStore(t)
	set(t, s, "a", "value")
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for s := openAgain(s.dir, ""); ; {
				select {
				case <-done:
					return
				default:
				}
				if got, err := s.Get(context.Background(), "a"); err != nil || string(got) != "value" {
					t.Errorf("Get = %q, %v", got, err)
					return
				}
			}
		})
	}
	for range 50 {
		if _, err := s.RotateKey(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
}

func TestAWaitForTheLockCanBeCancelled(t *testing.T) {
	s := newStore(t)
	set(t, s, "a", "1")
	held, release := make(chan struct{}), make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		_ = openAgain(s.dir, "").change(context.Background(), func() error {
			close(held)
			<-release
			return nil
		})
	})
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Set(ctx, "a", []byte("2")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Set = %v", err)
	}
	wantValue(t, s, "a", "1") // readers don't wait
	close(release)
	other.Wait()
	set(t, s, "a", "2")
}

func TestWhatIsLeftIsSwept(t *testing.T) {
	s := newStore(t)
	set(t, s, "a", "1")
	put(t, filepath.Join(s.dir, tempPrefix+"123"), "half a key")
	set(t, s, "a", "2")
	for file := range everything(t, s.dir) {
		if strings.HasPrefix(file, tempPrefix) {
			t.Errorf("%s is left", file)
		}
	}
}
