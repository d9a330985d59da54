package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/flock"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"alpine":                   "index.docker.io/library/alpine:latest",
		"alpine/curl:8":            "index.docker.io/alpine/curl:8",
		"docker.io/library/alpine": "index.docker.io/library/alpine:latest",
		"localhost:5000/a":         "localhost:5000/a:latest",
		"ghcr.io/o/i:v1":           "ghcr.io/o/i:v1",
		"a@sha256:" + zeros64:      "index.docker.io/library/a@sha256:" + zeros64,
		"a:tag@sha256:" + zeros64:  "index.docker.io/library/a@sha256:" + zeros64,
	} {
		if got, err := Canonical(in); got != want || err != nil {
			t.Errorf("%s is %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "UP", "a b", "a:", "../a", "a@sha256:12", "a\x00b", strings.Repeat("a", 300), "http://a/b"} {
		if got, err := Canonical(in); err == nil {
			t.Errorf("%q is %s", in, got)
		} else {
			wantKind(t, err, ErrReference)
		}
	}
}

const zeros64 = "0000000000000000000000000000000000000000000000000000000000000000"

func TestLookupInAMissingStore(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "none"), testOptions())
	for _, ref := range []string{"alpine", "alpine@sha256:" + zeros64} {
		_, err := s.Lookup(ref)
		wantKind(t, err, ErrNotFound)
	}
	if all, err := s.List(); len(all) != 0 || err != nil {
		t.Errorf("List = %v, %v; want nothing", all, err)
	}
	if ok, _ := exists(s.root); ok {
		t.Error("a lookup made the store")
	}
}

func TestListInspectRemove(t *testing.T) {
	host := imagetest.NewRegistry(t)
	s := testStore(t)
	base := imagetest.Tar(t, file{Name: "base"})
	imagetest.Push(t, host+"/b:1", imagetest.Config{Cmd: []string{"b"}}, base)
	imagetest.Push(t, host+"/a:1", imagetest.Config{Cmd: []string{"a"}}, base)
	imagetest.Push(t, host+"/a:2", imagetest.Config{Cmd: []string{"a"}}, base)
	b, a := mustPull(t, s, host+"/b:1"), mustPull(t, s, host+"/a:1")
	mustPull(t, s, host+"/a:2")
	all, err := s.List()
	if err != nil || len(all) != 3 || all[0].Canonical != host+"/a:1" || all[2].ID != b.ID {
		t.Fatalf("List = %v, %v; want 3 images", all, err)
	}
	_, digest, _ := strings.Cut(a.Digest, "@sha256:")
	for _, id := range []string{host + "/a:1", a.Digest, digest, digest[:8], "sha256:" + digest[:8], a.ID, strings.TrimPrefix(a.ID, "sha256:")[:9]} {
		d, err := s.Inspect(id)
		if err != nil || d.ID != a.ID || strings.Join(d.References, " ") != host+"/a:1 "+host+"/a:2" || imagetest.Digest(d.RawManifest).Hex != digest {
			t.Errorf("Inspect(%s) = %+v, %v", id, d, err)
		}
	}
	for id, kind := range map[string]error{host + "/none:1": ErrNotFound, "ffff" + zeros64[:8]: ErrNotFound, "NO such": ErrReference} {
		_, err := s.Inspect(id)
		wantKind(t, err, kind)
		_, err = s.Remove(id)
		wantKind(t, err, kind)
	}
	if gone, err := s.Remove(host + "/b:1"); err != nil || len(gone) != 1 {
		t.Errorf("Remove = %q, %v; want one reference", gone, err)
	}
	if _, err := s.Lookup(host + "/b:1"); err == nil {
		t.Error("Lookup finds a removed reference")
	}
	if gone, err := s.Remove(digest[:10]); err != nil || len(gone) != 2 {
		t.Errorf("Remove = %q, %v; want two references", gone, err)
	}
	if all, err := s.List(); len(all) != 0 || err != nil {
		t.Errorf("List = %v, %v; want nothing", all, err)
	}
}

func TestShortIDMayBeAmbiguous(t *testing.T) {
	host := imagetest.NewRegistry(t)
	s := testStore(t)
	first := map[byte]bool{}
	for i := range 17 { // two of 17 ids must begin with the same digit
		imagetest.Push(t, host+"/a:1", imagetest.Config{Cmd: []string{string(rune('a' + i))}})
		img := mustPull(t, s, host+"/a:1")
		w, err := s.newWork()
		if err != nil {
			t.Fatal(err)
		}
		h, _ := parseSHA256(img.Digest[strings.Index(img.Digest, "@")+1:])
		if err := s.publishRef(w, refRecord{Canonical: host + "/t:" + string(rune('a'+i)), Platform: s.opts.Platform, Manifest: h}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if first[h.Hex[0]] {
			_, err := s.Inspect(h.Hex[:1])
			wantKind(t, err, ErrAmbiguous)
			return
		}
		first[h.Hex[0]] = true
	}
	t.Error("no two of 17 ids begin with the same digit")
}

func TestPruneKeepsWhatIsReferencedOrHeld(t *testing.T) {
	host := imagetest.NewRegistry(t)
	s := testStore(t)
	shared := imagetest.Tar(t, file{Name: "shared", Body: "12345"})
	own := imagetest.Tar(t, file{Name: "own", Body: "123"})
	imagetest.Push(t, host+"/keep:1", imagetest.Config{}, shared)
	imagetest.Push(t, host+"/drop:1", imagetest.Config{}, shared, own)
	keep, drop := mustPull(t, s, host+"/keep:1"), mustPull(t, s, host+"/drop:1")
	release, err := s.Hold(t.Context(), drop, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(host + "/drop:1"); err != nil {
		t.Fatal(err)
	}
	prune := func(o PruneOptions) Pruned {
		t.Helper()
		p, err := s.Prune(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := prune(PruneOptions{}); p.Layers+p.Images+p.Blobs != 0 {
		t.Errorf("pruned a held image: %+v", p)
	}
	before := imagetest.HashTree(t, keep.Layers[0].Path)
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Fatal("a second release:", err)
	}
	if p := prune(PruneOptions{DryRun: true}); p.Layers != 1 || p.Images != 1 {
		t.Errorf("a dry run would prune %+v, want one layer and one image", p)
	}
	if p := prune(PruneOptions{}); p.Layers != 1 || p.Images != 1 || p.Blobs != 3 || p.Bytes < 3 {
		t.Errorf("pruned %+v, want one layer, one image and 3 blobs", p)
	}
	if imagetest.HashTree(t, keep.Layers[0].Path) != before {
		t.Error("prune changed a layer that stays")
	}
	if _, err := s.Hold(t.Context(), drop, "late"); err == nil {
		t.Error("Hold of a pruned image succeeds")
	} else {
		wantKind(t, err, ErrNotFound)
	}
	fsck(t, s)
	if p := prune(PruneOptions{All: true}); len(p.References) != 1 || p.Layers != 1 {
		t.Errorf("pruned %+v, want one reference and one layer", p)
	}
	nothingStored(t, s)
	if n := readDir(t, s.lockDir()); len(n) != 1 {
		t.Errorf("got the locks %q, want only gc", n)
	}
}

// TestPullRepairs checks that the next pull fetches missing parts of an image again.
func TestPullRepairs(t *testing.T) {
	r := imagetest.Serve(t, nil)
	imagetest.Push(t, r.Host+"/a:1", imagetest.Config{}, imagetest.Gzip(t, imagetest.Tar(t, file{Name: "f", Body: "x"})))
	s := testStore(t)
	img := mustPull(t, s, r.Host+"/a:1")
	blob := filepath.Join(s.blobDir(), strings.TrimPrefix(img.Layers[0].Digest, "sha256:"))
	for name, lose := range map[string]string{"tree": filepath.Dir(img.Layers[0].Path), "blob": blob} {
		if err := os.RemoveAll(lose); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lookup(r.Host + "/a:1"); (err != nil) != (name == "tree") {
			t.Errorf("Lookup without the %s: %v", name, err)
		}
		r.Reset()
		mustPull(t, s, r.Host+"/a:1")
		if n := r.Count(http.MethodGet, "/blobs/"); (n != 0) != (name == "blob") {
			t.Errorf("the pull fetched %d blobs to repair the %s", n, name)
		}
		fsck(t, s)
	}
}

// TestRemoveTreeStopsAtMounts checks that cleaning up never enters a mount, not even one of the same file system.
func TestRemoveTreeStopsAtMounts(t *testing.T) {
	if os.Getenv("MAYFLY_TEST_MOUNTS") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRemoveTreeStopsAtMounts$", "-test.v")
		cmd.Env = append(os.Environ(), "MAYFLY_TEST_MOUNTS=1")
		cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Unshareflags: unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "canary alive") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	s := testStore(t)
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	canary := t.TempDir()
	if err := os.WriteFile(filepath.Join(canary, "layer-file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	layer := filepath.Join(s.layerDir(), "sha256-"+zeros64)
	at := filepath.Join(layer, "tree", "mnt")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(canary, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	_, err := s.Prune(t.Context(), PruneOptions{})
	wantKind(t, err, ErrMounted)
	if ok, _ := exists(filepath.Join(layer, "tree")); !ok {
		t.Error("Prune removed a layer with a mount in it")
	}
	wantKind(t, removeTree(layer), ErrMounted)
	wantKind(t, removeTree(at), ErrMounted)
	// The code for kernels without openat2 stops at other file systems.
	parent, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	if _, err := openSameDevice(int(parent.Fd()), "proc"); !errors.Is(err, unix.EXDEV) {
		t.Errorf("it entered /proc: %v", err)
	}
	if _, err := os.Stat(filepath.Join(canary, "layer-file")); err != nil {
		t.Fatal("the mounted directory has lost its file")
	}
	if err := unix.Unmount(at, 0); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(layer); err != nil {
		t.Fatal(err)
	}
	t.Log("canary alive")
}

// TestPruneUnderLoad looks up, pulls and holds images while prunes run.
func TestPruneUnderLoad(t *testing.T) {
	host := imagetest.NewRegistry(t)
	s := testStore(t)
	for _, n := range []string{"a", "b", "c"} {
		imagetest.Push(t, host+"/"+n+":1", imagetest.Config{Cmd: []string{n}}, imagetest.Tar(t, file{Name: "shared"}), imagetest.Tar(t, file{Name: "d/" + n, Body: n}), imagetest.Tar(t, hardlink("below", "d/"+n)))
	}
	const enough = 3
	begin := time.Now()
	var wg sync.WaitGroup
	var prunes, used atomic.Int64
	goOn := func() bool { // for longer on a slow machine
		took := time.Since(begin)
		return took < 1500*time.Millisecond || took < time.Minute && (prunes.Load() < enough || used.Load() < enough)
	}
	wg.Go(func() {
		for goOn() {
			if _, err := s.Prune(t.Context(), PruneOptions{All: true}); err != nil {
				t.Errorf("prune: %v", err)
			}
			prunes.Add(1)
		}
	})
	for _, n := range []string{"a", "b", "c", "a"} {
		wg.Go(func() {
			for goOn() {
				img, err := s.Lookup(host + "/" + n + ":1")
				if err != nil {
					img, err = s.Pull(t.Context(), host+"/"+n+":1", PullOptions{})
				}
				if err != nil && !isKind(err, ErrNotFound) { // not found: pruned before Pull read it again
					t.Errorf("pull: %v", err)
				}
				if err != nil {
					continue
				}
				release, err := s.Hold(t.Context(), img, "load")
				if err != nil {
					if !isKind(err, ErrNotFound) {
						t.Errorf("hold: %v", err)
					}
					continue
				}
				for range 5 {
					if b, err := os.ReadFile(filepath.Join(img.Layers[1].Path, "d", n)); string(b) != n {
						t.Errorf("a held layer contains %q, %v", b, err)
					}
					if b, err := os.ReadFile(filepath.Join(img.Layers[3].Path, "below")); string(b) != n {
						t.Errorf("a held layer of links contains %q, %v", b, err)
					}
				}
				used.Add(1)
				if err := release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if prunes.Load() < enough || used.Load() < enough {
		t.Errorf("%d prunes and %d uses are too few to prove anything", prunes.Load(), used.Load())
	}
	fsck(t, s)
}

func isKind(err, kind error) bool { return errors.Is(err, kind) }

func TestConfigFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registries.yaml")
	if c, err := LoadConfig(path); err != nil || len(c.Registries) != 0 {
		t.Errorf("a missing file: got %v, %v; want no registries", c, err)
	}
	for in, ok := range map[string]bool{
		"": true,
		"registries:\n  docker.io:\n    mirrors: [mirror.example.com/hub, 'http://10.0.0.1:5000']\n    plain_http: false\n": true,
		`{"registries":{"r:5000":{"plain_http":true,"ca_file":"/ca.pem","token_hosts":["sso.example.com"]}}}`:               true,
		"registries: {a: {mirrors: ['ftp://user@host']}}":                                                                   false,
		"registries: {'https://a/': {}}":     false,
		"registries: {a: {plainhttp: true}}": false,
		"registries: [":                      false,
	} {
		if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadConfig(path); (err == nil) != ok {
			t.Errorf("%q: got %v, want accepted: %v", in, err, ok)
		}
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("#"), maxConfigBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(path); err == nil {
		t.Error("a file larger than the limit is accepted")
	}
	c := Config{Registries: map[string]Registry{"docker.io": {Mirrors: []string{"m/p"}}}}
	if e, err := c.endpoints("index.docker.io"); err != nil || len(e) != 2 || e[0].host != "m" || e[0].prefix != "p" {
		t.Errorf("got the endpoints %+v, %v", e, err)
	}
}

// TestI25_AStoppedPrune checks that a stopped prune that holds an image's lock delays a start only until the deadline, or until
// Ctrl-C.
func TestI25_AStoppedPrune(t *testing.T) {
	host := imagetest.NewRegistry(t)
	s := testStore(t)
	imagetest.Push(t, host+"/app:1", imagetest.Config{}, imagetest.Tar(t, file{Name: "f"}))
	img := mustPull(t, s, host+"/app:1")
	stopped, err := os.Open(img.HoldFile)
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close()
	if ok, err := flock.Try(stopped, flock.Exclusive); err != nil || !ok {
		t.Fatal(ok, err)
	}
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { cancel(interrupted) })
	if _, err := s.Hold(ctx, img, "test"); !errors.Is(err, interrupted) {
		t.Error(err)
	}
	s.holdWithin = 10 * time.Millisecond
	self := fmt.Sprintf("(process %d)", os.Getpid())
	if _, err := s.Hold(t.Context(), img, "test"); err == nil || !strings.Contains(err.Error(), "has been locked for ") || !strings.Contains(err.Error(), self) {
		t.Error(err)
	}
	s.holdWithin = time.Hour
	time.AfterFunc(10*time.Millisecond, func() { _ = stopped.Close() })
	release, err := s.Hold(t.Context(), img, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
