//go:build linux

// Package testbed has what tests of real sandboxes need: the built programs, images, and the check that nothing is left on
// the host.
package testbed

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/internal/oci"
)

// Root returns the project's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// BinEnv names the folder of programs that are already built.
const BinEnv = "MAYFLY_TEST_BIN"

// build returns the folder of the built programs, without symbolic links, and builds them first if BinEnv isn't set.
var build = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv(BinEnv); dir != "" {
		return filepath.EvalSymlinks(dir) // to compare it with /proc/PID/exe
	}
	out, err := exec.Command("make", "--no-print-directory", "-C", Root(), "build").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return filepath.EvalSymlinks(filepath.Join(Root(), "bin"))
})

// Bin returns the folder of the built programs, such as mayfly and mayfly-shim.
func Bin(tb testing.TB) string {
	tb.Helper()
	dir, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// Engine returns the embedded engine as root uses it.
func Engine(tb testing.TB) *oci.Engine {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatal("these tests make real sandboxes: run them as root")
	}
	return oci.New(filepath.Join(Bin(tb), "mayfly-shim"), "/run/mayfly", nil)
}

// Image is an image and its unpacked layers on this host.
type Image struct {
	engine.Image
	Unpacked engine.Unpacked
}

// Local returns the engine.Local for a run of the image with these secrets.
func (i Image) Local(secrets engine.Secrets) engine.Local {
	return engine.Local{Image: i.Unpacked, Secrets: secrets}
}

// Busybox returns an image with busybox and the users root, nobody and 1000, in a new store.
func Busybox(tb testing.TB) Image {
	tb.Helper()
	return Unpack(tb, imagetest.Config{}, imagetest.BusyboxLayer(tb))
}

// Unpack returns an image of layers, given as tars, in a new store.
func Unpack(tb testing.TB, config imagetest.Config, layers ...[]byte) Image {
	tb.Helper()
	store, err := image.Open(tb.TempDir(), image.Options{NoSync: true})
	if err != nil {
		tb.Fatal(err)
	}
	return UnpackInto(tb, store, config, layers...)
}

// UnpackInto is like Unpack, with an existing store.
func UnpackInto(tb testing.TB, store *image.Store, config imagetest.Config, layers ...[]byte) Image {
	tb.Helper()
	archive := imagetest.DockerArchive(tb, "test.invalid/image:latest", config, layers...)
	images, err := store.Load(tb.Context(), strings.NewReader(string(archive)))
	if err != nil {
		tb.Fatal(err)
	}
	out := Image{Image: engine.Image{Reference: images[0].Reference, Digest: images[0].Digest}}
	for _, l := range images[0].Layers {
		out.Unpacked.Layers = append(out.Unpacked.Layers, l.Path)
	}
	return out
}

// Harness returns a harness to test the embedded engine with an image.
func Harness(tb testing.TB, image Image) *enginetest.Harness {
	tb.Helper()
	return HarnessOf(Engine(tb), image)
}

// HarnessOf returns a harness to test an engine that executes images.
func HarnessOf(e engine.Engine, image Image) *enginetest.Harness {
	h := &enginetest.Harness{Engine: e, Image: image.Image, Unpacked: image.Unpacked, Args: enginetest.Shell}
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err == nil && own.Max < engine.MostOpenFiles {
		h.MostOpenFiles = int64(own.Max)
	}
	return h
}

// EmptyPolicy writes a policy that limits nothing to the folder and returns its path. With MAYFLY_POLICY set to it, the
// machine's own policy has no effect on a test.
func EmptyPolicy(tb testing.TB, dir string) (path string) {
	tb.Helper()
	path = filepath.Join(dir, "empty-policy.yaml")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Main runs a package's tests, and fails if they leave anything on the host. Packages with real sandboxes run one at a time
// (see the Makefile). Main calls after when the tests have ended, to remove what they shared. It ends the process.
func Main(m *testing.M, after ...func()) {
	before, err := Leftovers()
	if err == nil {
		err = descriptors(before)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "look for leftovers:", err)
		os.Exit(1)
	}
	code := m.Run()
	for _, f := range after {
		f()
	}
	awaitShims(before)
	left, err := lasting()
	if err == nil {
		err = lastingDescriptors(before, left)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "look for leftovers:", err)
		os.Exit(1)
	}
	for what := range left {
		if !before[what] {
			fmt.Fprintln(os.Stderr, "LEFT BEHIND:", what)
			code = 1
		}
	}
	os.Exit(code)
}

// lasting returns what Leftovers finds twice, a second apart. A run of another checkout that is ending may have lost its
// shim at the first time, and without the shim nobody can tell whose run it is. So something of the tests' own that
// disappears within a second isn't reported either.
func lasting() (map[string]bool, error) {
	left, err := Leftovers()
	if err != nil || len(left) == 0 {
		return left, err
	}
	time.Sleep(time.Second)
	again, err := Leftovers()
	maps.DeleteFunc(left, func(what string, _ bool) bool { return !again[what] })
	return left, err
}

// CopyProgram copies a built program. Every user may execute the copy.
func CopyProgram(tb testing.TB, from, to string) {
	tb.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err == nil {
		err = os.Chmod(to, 0o755) // independent of the umask
	}
	if err != nil {
		tb.Fatal(err)
	}
}
