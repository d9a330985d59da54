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

// TestMain lets the test binary be one of many processes that use a store: with pullEnv set it pulls and ends.
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

// pullAsProcess pulls args[1] into the store args[0], holds it, and reads a file of it.
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
	if len(args) > 2 { // keep holding until killed
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

// manyLayers is an image whose layers take a moment.
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

// slowBlobs gives the layers in pieces, so that pulls overlap. The last piece of each waits for what wait waits for.
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

// Eight processes that pull the same image at once fetch each layer once between them.
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
			t.Errorf("layer %s was fetched %d times", imagetest.Digest(l), n)
		}
	}
	if n := r.Count(http.MethodGet, "/manifests/1"); n != 8 {
		t.Errorf("%d processes asked the registry", n)
	}
	fsck(t, s)
	nothingHeld(t, s)
}

func nothingHeld(t *testing.T, s *Store) {
	t.Helper()
	holds, err := s.liveHolds()
	if err != nil || len(holds) != 0 || len(readDir(t, s.holdDir())) != 0 {
		t.Errorf("holds left: %+v, %v", holds, err)
	}
}

// kill -9 at any moment leaves nothing half done in sight, holds up nobody, and what it leaves in tmp is swept.
func TestKilledProcessesLeaveTheStoreWhole(t *testing.T) {
	layers := manyLayers(t)
	var killing sync.RWMutex // held by who kills, now and then: some kills meet pulls that can't have ended
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
		t.Errorf("only %d processes were killed in time: this proves little", killed)
	}
}

// A hold of another process keeps prune away, and ends with that process however it ends.
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
		t.Errorf("pruned %+v, %v", p, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended by itself")
	}
	if p, err := s.Prune(t.Context(), PruneOptions{All: true}); err != nil || p.Layers != 1 {
		t.Errorf("pruned %+v, %v", p, err)
	}
	nothingStored(t, s)
}
