package image

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

func pulled(t testing.TB, layers int) (*Store, string) {
	t.Helper()
	ref := imagetest.NewRegistry(t) + "/app:1"
	var all [][]byte
	for i := range layers {
		all = append(all, imagetest.Tar(t, file{Name: fmt.Sprint("f", i)}))
	}
	imagetest.Push(t, ref, imagetest.Config{Env: []string{"PATH=/bin"}}, all...)
	s := testStore(t)
	mustPull(t, s, ref)
	return s, ref
}

// BenchmarkLookup measures opening the store and finding an image, as in a warm start.
func BenchmarkLookup(b *testing.B) {
	s, ref := pulled(b, 8)
	for b.Loop() {
		warm, err := Open(s.root, s.opts)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := warm.Lookup(ref); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHold(b *testing.B) {
	s, ref := pulled(b, 8)
	img, err := s.Lookup(ref)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		release, err := s.Hold(b.Context(), img, "bench")
		if err != nil {
			b.Fatal(err)
		}
		if err := release(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLookupIsFast compares looking up and holding an image, as in a warm start, with writing and removing a small file.
func TestLookupIsFast(t *testing.T) {
	s, ref := pulled(t, 8)
	file := filepath.Join(t.TempDir(), "file")
	best, bare := time.Hour, time.Hour // the best of several attempts, and of more on a busy machine
	for i := 0; i < 50 || i < 5000 && best > 15*bare; i++ {
		start := time.Now()
		if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Remove(file)); err != nil {
			t.Fatal(err)
		}
		bare = min(bare, time.Since(start))
		start = time.Now()
		img, err := s.Lookup(ref)
		if err != nil {
			t.Fatal(err)
		}
		release, err := s.Hold(t.Context(), img, "test")
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
	if best > 15*bare {
		t.Errorf("lookup and hold take %v, more than 15 times as long as writing and removing a file (%v)", best, bare)
	}
}

// BenchmarkUnpack unpacks 64 MiB in 2,000 files, with each kind of compression.
func BenchmarkUnpack(b *testing.B) {
	body := make([]byte, 32<<10)
	r := rand.NewChaCha8([32]byte{})
	var files []file
	for i := range 2000 {
		_, _ = r.Read(body[:16<<10]) // never fails; only the other half of body is compressible
		files = append(files, file{Name: fmt.Sprintf("usr/lib/d%d/f%d", i/50, i), Body: string(body)})
	}
	plain := imagetest.Tar(b, files...)
	for _, c := range []struct {
		name  string
		layer []byte
	}{{"plain", plain}, {"gzip", imagetest.Gzip(b, plain)}, {"zstd", imagetest.Zstd(b, plain)}} {
		b.Run(c.name, func(b *testing.B) {
			s := openStore(b, memoryDir(b), testOptions())
			if err := s.prepare(); err != nil {
				b.Fatal(err)
			}
			w, err := s.newWork()
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				dir := filepath.Join(w.path, "layer")
				f := &layerFetch{
					s: s, w: w, image: newImageBudget(s.opts.Limits), unpack: true,
					l: layerPlan{diffID: imagetest.Digest(plain), digest: imagetest.Digest(c.layer), size: int64(len(c.layer))},
				}
				if _, err := f.unpackInto(b.Context(), bytes.NewReader(c.layer), dir); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := os.RemoveAll(dir); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
