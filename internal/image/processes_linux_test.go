package image

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestMain makes the test binary one of many processes that use a store: if pullEnv is set, it pulls and exits.
func TestMain(m *testing.M) {
	if args := os.Getenv(pullEnv); args != "" {
		if err := pullAsProcess(strings.Fields(args)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const pullEnv = "MAYFLY_TEST_PULL"

// pullAsProcess pulls args[1] into the store args[0], holds it, and reads one of its files. With a third argument it holds the image
// until it is killed.
func pullAsProcess(args []string) error {
	s, err := Open(args[0], testOptions())
	if err != nil {
		return err
	}
	img, err := s.Pull(context.Background(), args[1], PullOptions{})
	if err != nil {
		return err
	}
	release, err := s.Hold(context.Background(), img, "test process")
	if err != nil {
		return err
	}
	for i, l := range img.Layers {
		b, err := os.ReadFile(l.Path + "/d/last")
		if err != nil || string(b) != fmt.Sprint(i) {
			return fmt.Errorf("layer %d is not whole: %q, %w", i, b, err)
		}
	}
	if len(args) > 2 {
		fmt.Println("held")
		select {}
	}
	return release()
}

func startPull(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), pullEnv+"="+strings.Join(args, " "))
	cmd.Stderr = &strings.Builder{}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// manyLayers returns layers that take a moment to unpack.
func manyLayers(t *testing.T) [][]byte {
	t.Helper()
	var layers [][]byte
	for i := range 4 {
		var files []file
		for n := range 200 {
			files = append(files, file{Name: fmt.Sprintf("d/f%d", n), Body: strings.Repeat(fmt.Sprint(i), 1000)})
		}
		layers = append(layers, imagetest.Gzip(t, imagetest.Tar(t, append(files, file{Name: "d/last", Body: fmt.Sprint(i)})...)))
	}
	return layers
}

// slowBlobs sends layers in pieces, so that pulls overlap. It calls wait before the last piece of each.
func slowBlobs(layers [][]byte, wait func()) imagetest.Middleware {
	content := map[string][]byte{}
	for _, l := range layers {
		content[imagetest.Digest(l).String()] = l
	}
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		b, ok := content[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		for len(b) > 0 {
			n := min(len(b), 1024)
			if n == len(b) {
				wait()
			}
			if _, err := w.Write(b[:n]); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			b = b[n:]
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// TestEightProcessesFetchEachLayerOnce checks that eight processes that pull the same image at once fetch each layer only once.
func TestEightProcessesFetchEachLayerOnce(t *testing.T) {
	layers := manyLayers(t)
	r := imagetest.Serve(t, slowBlobs(layers, func() {}))
	ref := r.Host + "/app:1"
	imagetest.Push(t, ref, imagetest.Config{}, layers...)
	s := testStore(t)
	r.Reset()
	var procs []*exec.Cmd
	for range 8 {
		procs = append(procs, startPull(t, s.root, ref))
	}
	for _, p := range procs {
		if err := p.Wait(); err != nil {
			t.Errorf("%v: %s", err, p.Stderr)
		}
	}
	for _, l := range layers {
		if n := r.Count(http.MethodGet, imagetest.Digest(l).Hex); n != 1 {
			t.Errorf("layer %s was fetched %d times, want once", imagetest.Digest(l), n)
		}
	}
	if n := r.Count(http.MethodGet, "/manifests/1"); n != 8 {
		t.Errorf("%d processes asked the registry, want 8", n)
	}
	fsck(t, s)
	nothingHeld(t, s)
}

func nothingHeld(t *testing.T, s *Store) {
	t.Helper()
	holds, err := s.liveHolds()
	if err != nil || len(holds) != 0 || len(readDir(t, s.holdDir())) != 0 {
		t.Errorf("got the holds %+v, %v; want none", holds, err)
	}
}

// TestKilledProcessesLeaveTheStoreWhole checks that a kill -9 at any moment leaves a consistent store, blocks nobody, and that the next
// process cleans tmp up.
func TestKilledProcessesLeaveTheStoreWhole(t *testing.T) {
	layers := manyLayers(t)
	var killing sync.RWMutex // locked during the kills of every second round, so that pulls can't have ended before
	r := imagetest.Serve(t, slowBlobs(layers, func() {
		killing.RLock()
		defer killing.RUnlock()
	}))
	ref := r.Host + "/app:1"
	imagetest.Push(t, ref, imagetest.Config{}, layers...)
	s := testStore(t)
	killed := 0
	for round := range 6 {
		var procs []*exec.Cmd
		if round%2 == 0 {
			killing.Lock()
		}
		for range 8 {
			procs = append(procs, startPull(t, s.root, ref))
		}
		for _, p := range procs[:5] {
			time.Sleep(rand.N(25 * time.Millisecond))
			if err := p.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if round%2 == 0 {
			killing.Unlock()
		}
		for i, p := range procs {
			err := p.Wait()
			if i >= 5 && err != nil {
				t.Errorf("round %d: a survivor failed: %v: %s", round, err, p.Stderr)
			}
			if i < 5 && err != nil {
				killed++
			}
		}
		fsck(t, s)
		if _, err := s.Lookup(ref); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if _, err := s.Prune(t.Context(), PruneOptions{All: true}); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		nothingStored(t, s)
	}
	if killed < 10 {
		t.Errorf("only %d processes were killed before they ended, want at least 10", killed)
	}
}

// TestHoldDiesWithItsProcess checks that a hold of another process keeps Prune from removing the image, and ends with that process.
func TestHoldDiesWithItsProcess(t *testing.T) {
	host := imagetest.NewRegistry(t)
	imagetest.Push(t, host+"/app:1", imagetest.Config{}, imagetest.Tar(t, file{Name: "d/last", Body: "0"}))
	s := testStore(t)
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), pullEnv+"="+s.root+" "+host+"/app:1 hold")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune(t.Context(), PruneOptions{All: true}); err != nil || p.Layers+p.Images+p.Blobs+len(p.References) != 0 {
		t.Errorf("pruned %+v, %v; want nothing", p, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended before it was killed")
	}
	if p, err := s.Prune(t.Context(), PruneOptions{All: true}); err != nil || p.Layers != 1 {
		t.Errorf("pruned %+v, %v; want one layer", p, err)
	}
	nothingStored(t, s)
}
