//go:build unix

package secret

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The environment variables of the process that the test starts and kills.
const (
	crashDir  = "MAYFLY_TEST_CRASH_DIR"
	crashStep = "MAYFLY_TEST_CRASH_STEP"
	crashPass = "MAYFLY_TEST_CRASH_PASS"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		os.Exit(crash(dir, os.Getenv(crashPass)))
	}
	os.Exit(m.Run())
}

// crash sets a secret, rotates the key and removes a secret. It kills its own process before the change with the number in crashStep.
func crash(dir, pass string) int {
	at, err := strconv.Atoi(os.Getenv(crashStep))
	if err != nil {
		return 3
	}
	s := openAgain(dir, pass)
	s.step = func(string) error {
		if at--; at == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	if _, err := s.Set(context.Background(), "s1", []byte("new 1")); err != nil {
		fmt.Println(err)
		return 1
	}
	if _, err := s.RotateKey(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := s.Remove(context.Background(), "s0"); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// TestKilledAtEveryStep kills a process at each change that it makes on disk.
func TestKilledAtEveryStep(t *testing.T) {
	for _, pass := range []string{"", "passphrase"} {
		t.Run("passphrase="+pass, func(t *testing.T) {
			killed := 0
			for step := 1; ; step++ {
				s := openAgain(filepath.Join(t.TempDir(), "secrets"), pass)
				if pass != "" {
					if err := s.Create(t.Context(), []byte(pass)); err != nil {
						t.Fatal(err)
					}
				}
				for i := range 3 {
					set(t, s, fmt.Sprintf("s%d", i), fmt.Sprintf("old %d", i))
				}
				first := everything(t, s.dir)[identityFile]
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), crashDir+"="+s.dir, crashStep+"="+strconv.Itoa(step), crashPass+"="+pass)
				out, err := cmd.CombinedOutput()
				if err == nil {
					break // the process made all its changes
				}
				status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
				if !ok || status.Signal() != syscall.SIGKILL {
					t.Fatalf("step %d: %v: %s", step, err, out)
				}
				killed++
				checkSurvivors(t, openAgain(s.dir, pass), step)
				// The next rotation finishes the work of the killed one, and the old key opens nothing after it.
				s = openAgain(s.dir, pass)
				if _, err := s.RotateKey(t.Context()); err != nil {
					t.Fatalf("step %d: rotate again: %v", step, err)
				}
				checkSurvivors(t, openAgain(s.dir, pass), step)
				set(t, s, "s2", "old 2")
				for file, content := range everything(t, s.dir) {
					if strings.HasPrefix(file, tempPrefix) || file == nextIdentityFile || file == identityFile && content == first {
						t.Errorf("step %d: %s is left", step, file)
					}
				}
				put(t, filepath.Join(s.dir, identityFile), first)
				if _, err := openAgain(s.dir, pass).Get(t.Context(), "s2"); err == nil {
					t.Errorf("step %d: the old key still opens a secret", step)
				}
			}
			// A set, a new key, three secrets, the rename of the key, a removal.
			if killed != 7 {
				t.Errorf("killed at %d steps, want 7", killed)
			}
		})
	}
}

// checkSurvivors reads every secret.
func checkSurvivors(t *testing.T, s *Store, step int) {
	t.Helper()
	for i := range 3 {
		got, err := s.Get(t.Context(), fmt.Sprintf("s%d", i))
		if err != nil || string(got) != fmt.Sprintf("old %d", i) && string(got) != "new 1" {
			t.Errorf("step %d: Get(s%d) = %q, %v; want its old or new value", step, i, got, err)
		}
	}
}

func TestOthersMustNotGetAtIt(t *testing.T) {
	for _, file := range []string{".", identityFile} {
		s := newStore(t)
		set(t, s, "a", "value")
		path := filepath.Join(s.dir, file)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, open := range []os.FileMode{0o040, 0o004, 0o020, 0o001} {
			if err := os.Chmod(path, info.Mode().Perm()|open); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("other users of this machine can access %s (mode %04o); to prevent that: chmod go= %s", filepath.Clean(path), info.Mode().Perm()|open, filepath.Clean(path))
			if _, err := openAgain(s.dir, "").Get(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("mode %o: got %v, want %s", open, err, want)
			}
			if _, err := openAgain(s.dir, "").Set(t.Context(), "a", []byte("b")); err == nil {
				t.Errorf("mode %o: Set succeeds", open)
			}
		}
		if err := os.Chmod(path, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
		wantValue(t, openAgain(s.dir, ""), "a", "value")
	}
}

func TestModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	s := newStore(t)
	set(t, s, "a", "value")
	if _, err := s.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	for file := range everything(t, s.dir) {
		info, err := os.Stat(filepath.Join(s.dir, file))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, %v; want 0600", file, info.Mode(), err)
		}
	}
	if info, err := os.Stat(s.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v; want 0700", info.Mode(), err)
	}
}
