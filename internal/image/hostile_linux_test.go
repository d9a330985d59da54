package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestPullFromHostileRegistries is M04: if a registry's content differs from what it announced, the pull fails in time and stores
// nothing.
func TestPullFromHostileRegistries(t *testing.T) {
	layer := imagetest.Gzip(t, imagetest.Tar(t, file{Name: "f", Body: strings.Repeat("0123456789", 10_000)}))
	img := imagetest.Build(t, imagetest.Config{}, layer)
	digest := imagetest.Digest(layer).String()
	onLayer := func(answer func(w http.ResponseWriter, r *http.Request)) imagetest.Middleware {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.HasSuffix(r.URL.Path, digest) {
				answer(w, r)
				return
			}
			next.ServeHTTP(w, r)
		}
	}
	// at answers requests whose path contains part, and passes on the others.
	at := func(part string, answer func(w http.ResponseWriter, r *http.Request)) imagetest.Middleware {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, part) {
				answer(w, r)
				return
			}
			next.ServeHTTP(w, r)
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}
	stall := func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	wrong := bytes.Clone(layer)
	wrong[len(wrong)/2] ^= 1
	bent := bytes.Clone(layer)
	bent[9] ^= 1 // the operating system in the header (RFC 1952 section 2.3); the decompressed content stays the same
	other := imagetest.Gzip(t, imagetest.Tar(t, file{Name: "other", Body: "x"}))
	for name, c := range map[string]struct {
		m    imagetest.Middleware
		kind error
	}{
		"flipped bit":   {onLayer(func(w http.ResponseWriter, _ *http.Request) { w.Write(wrong) }), ErrDigest},
		"bent header":   {onLayer(func(w http.ResponseWriter, _ *http.Request) { w.Write(bent) }), ErrDigest},
		"another layer": {onLayer(func(w http.ResponseWriter, _ *http.Request) { w.Write(other) }), ErrTruncated},
		"padded": {onLayer(func(w http.ResponseWriter, _ *http.Request) {
			w.Write(append(bytes.Clone(other), make([]byte, len(layer)-len(other))...))
		}), ErrDigest},
		"longer":           {onLayer(func(w http.ResponseWriter, _ *http.Request) { w.Write(append(bytes.Clone(layer), 'x')) }), ErrOversize},
		"endless right":    {onLayer(func(w http.ResponseWriter, r *http.Request) { w.Write(layer); endless(w, r) }), ErrOversize},
		"endless zeros":    {onLayer(endless), ErrOversize},
		"stall at once":    {onLayer(stall), ErrStalled},
		"stall half-way":   {onLayer(func(w http.ResponseWriter, r *http.Request) { w.Write(layer[:100]); stall(w, r) }), ErrStalled},
		"silent":           {onLayer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), ErrStalled},
		"truncated":        {onLayer(func(w http.ResponseWriter, _ *http.Request) { w.Write(layer[:len(layer)/2]); w.(http.Flusher).Flush() }), ErrTruncated},
		"cut":              {onLayer(func(w http.ResponseWriter, _ *http.Request) { w.Write(layer[:9]); panic(http.ErrAbortHandler) }), ErrTruncated},
		"empty":            {onLayer(func(http.ResponseWriter, *http.Request) {}), ErrTruncated},
		"lost layer":       {onLayer(func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }), ErrNotFound},
		"endless manifest": {at("/manifests/", endless), ErrBudget},
		"stalled manifest": {at("/manifests/", stall), ErrStalled},
		"no manifest":      {at("/manifests/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }), ErrMalformed},
		"wrong config":     {at("/blobs/"+imagetest.Digest(img.Config).String(), func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }), ErrDigest},
		"endless config":   {at("/blobs/"+imagetest.Digest(img.Config).String(), endless), ErrBudget},
		"unasked range": {onLayer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(layer)-1, len(layer)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(layer)
		}), ErrUnavailable},
		"redirect loop": {onLayer(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }), ErrRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := imagetest.Serve(t, c.m)
			imagetest.PushImage(t, r.Host+"/app:1", img)
			o := testOptions()
			o.Attempts = 2
			if isKind(c.kind, ErrStalled) { // only here, since a busy machine looks like a stall
				o.StallTimeout = 150 * time.Millisecond
			}
			s := openStore(t, t.TempDir(), o)
			start := time.Now()
			_, err := s.Pull(t.Context(), r.Host+"/app:1", PullOptions{})
			if err == nil {
				t.Fatal("pulled")
			}
			if c.kind != nil {
				wantKind(t, err, c.kind)
			}
			if d := time.Since(start); d > time.Minute {
				t.Errorf("the pull took %v, want at most a minute", d)
			}
			nothingStored(t, s)
		})
	}
}

// TestPullByDigestChecksTheManifest checks that a manifest must have the digest by which it is requested.
func TestPullByDigestChecksTheManifest(t *testing.T) {
	good := imagetest.Build(t, imagetest.Config{}, imagetest.Tar(t, file{Name: "good"}))
	evil := imagetest.Build(t, imagetest.Config{}, imagetest.Tar(t, file{Name: "evil"}))
	r := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, good.Digest()) {
			w.Header().Set("Content-Type", string(evil.MediaType))
			w.Header().Set("Docker-Content-Digest", good.Digest())
			w.Write(evil.Manifest)
			return
		}
		next.ServeHTTP(w, r)
	})
	imagetest.PushImage(t, r.Host+"/app:1", evil)
	s := testStore(t)
	_, err := s.Pull(t.Context(), r.Host+"/app@"+good.Digest(), PullOptions{})
	wantKind(t, err, ErrDigest)
	nothingStored(t, s)
}

// TestPullRefusesHostileDocuments checks that manifests and configs are checked before a layer is fetched. M07: labels, users and
// directories are untrusted data.
func TestPullRefusesHostileDocuments(t *testing.T) {
	layer := imagetest.Tar(t, file{Name: "f"})
	bend := func(f func(m *v1.Manifest)) imagetest.Image {
		i := imagetest.Build(t, imagetest.Config{}, layer)
		var m v1.Manifest
		if err := json.Unmarshal(i.Manifest, &m); err != nil {
			t.Fatal(err)
		}
		f(&m)
		i.Manifest = imagetest.JSON(t, m)
		return i
	}
	with := func(c imagetest.Config) imagetest.Image { return imagetest.Build(t, c, layer) }
	raw := func(s string) imagetest.Image {
		return imagetest.Image{Manifest: []byte(s), MediaType: "application/json"}
	}
	wrongDiff := imagetest.Build(t, imagetest.Config{}, layer)
	{
		var f v1.ConfigFile
		if err := json.Unmarshal(wrongDiff.Config, &f); err != nil {
			t.Fatal(err)
		}
		f.RootFS.DiffIDs[0] = imagetest.Digest([]byte("other"))
		wrongDiff.Config = imagetest.JSON(t, f)
		var m v1.Manifest
		if err := json.Unmarshal(wrongDiff.Manifest, &m); err != nil {
			t.Fatal(err)
		}
		m.Config.Digest, m.Config.Size = imagetest.Digest(wrongDiff.Config), int64(len(wrongDiff.Config))
		wrongDiff.Manifest = imagetest.JSON(t, m)
		wrongDiff.Blobs[m.Config.Digest.String()] = wrongDiff.Config
	}
	var many [][]byte
	for range 128 {
		many = append(many, layer)
	}
	for name, c := range map[string]struct {
		image imagetest.Image
		kind  error
	}{
		"both index and manifest": {raw(`{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`), ErrHostile},
		"schema 1":                {raw(`{"schemaVersion":1,"fsLayers":[]}`), ErrMalformed},
		"neither":                 {raw(`{"schemaVersion":2}`), ErrMalformed},
		"no schema version":       {raw(`{"config":{},"layers":[]}`), ErrMalformed},
		"not JSON":                {raw(`[[[[`), ErrMalformed},
		"negative size":           {bend(func(m *v1.Manifest) { m.Layers[0].Size = -1 }), ErrBudget},
		"enormous size":           {bend(func(m *v1.Manifest) { m.Layers[0].Size = 1 << 60 }), ErrBudget},
		"enormous together":       {bend(func(m *v1.Manifest) { m.Layers[0].Size = 21 << 30; m.Layers = slices.Repeat(m.Layers, 3) }), ErrBudget},
		"the last is too much":    {bend(func(m *v1.Manifest) { m.Layers[0].Size = 21 << 30; m.Layers = slices.Repeat(m.Layers, 2) }), ErrBudget},
		"enormous config":         {bend(func(m *v1.Manifest) { m.Config.Size = 1 << 30 }), ErrBudget},
		"sha512":                  {bend(func(m *v1.Manifest) { m.Layers[0].Digest = v1.Hash{Algorithm: "sha512", Hex: strings.Repeat("0", 128)} }), ErrMalformed},
		"digest with a path":      {raw(strings.ReplaceAll(string(with(imagetest.Config{}).Manifest), imagetest.Digest(layer).Hex, "../../../../etc/passwd")), ErrMalformed},
		"helm chart":              {bend(func(m *v1.Manifest) { m.Config.MediaType = "application/vnd.cncf.helm.config.v1+json" }), ErrMalformed},
		"unknown layer type":      {bend(func(m *v1.Manifest) { m.Layers[0].MediaType = "application/x-evil" }), ErrMalformed},
		"layer missing in config": {bend(func(m *v1.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }), ErrMalformed},
		"wrong diff id":           {wrongDiff, ErrDigest},
		"128 layers":              {imagetest.Build(t, imagetest.Config{}, many...), ErrBudget},
		"climbing directory":      {with(imagetest.Config{WorkingDir: "/a/../../proc"}), ErrHostile},
		"directory in proc":       {with(imagetest.Config{WorkingDir: "/proc/self/fd/8"}), ErrHostile},
		"proc itself":             {with(imagetest.Config{WorkingDir: "/proc"}), ErrHostile},
		"directory in sys":        {with(imagetest.Config{WorkingDir: "/sys/fs"}), ErrHostile},
		"directory in dev":        {with(imagetest.Config{WorkingDir: "/dev/fd/3"}), ErrHostile},
		"user with a newline":     {with(imagetest.Config{User: "root\nroot"}), ErrHostile},
		"long user":               {with(imagetest.Config{User: strings.Repeat("u", 256)}), ErrHostile},
		"zero byte":               {with(imagetest.Config{Cmd: []string{"a\x00b"}}), ErrHostile},
		"5 MiB of labels":         {with(imagetest.Config{Labels: map[string]string{"l": strings.Repeat("l", 5<<20)}}), ErrBudget},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := imagetest.NewRegistry(t)
			imagetest.PushImage(t, host+"/app:1", c.image)
			s := testStore(t)
			_, err := s.Pull(t.Context(), host+"/app:1", PullOptions{})
			wantKind(t, err, c.kind)
			nothingStored(t, s)
		})
	}
}

// TestPullStopsBombs is M03: bombs stop at the budget, need little memory, and leave nothing on disk.
func TestPullStopsBombs(t *testing.T) {
	zeros := string(make([]byte, 64<<20))
	bomb := imagetest.Tar(t, file{Name: "zeros", Body: zeros})
	trailing := append(imagetest.Tar(t, file{Name: "f"}), zeros...)
	// A frame with one raw block, whose header says how large a window the decoder must keep (RFC 8878 section 3.1.1).
	frame := func(window byte) []byte {
		small := imagetest.Tar(t, file{Name: "f", Body: "x"})
		return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, window, byte(len(small)<<3 | 1), byte(len(small) >> 5), 0}, small...)
	}
	for name, c := range map[string]struct {
		layer []byte
		lim   Limits
		kind  error
	}{
		"gzip":               {imagetest.Gzip(t, bomb), Limits{LayerBytes: 1 << 20, LayerEntries: 100}, ErrBudget},
		"zstd":               {imagetest.Zstd(t, bomb), Limits{LayerBytes: 1 << 20, LayerEntries: 100}, ErrBudget},
		"after the tar":      {imagetest.Zstd(t, trailing), Limits{LayerBytes: 1 << 20, LayerEntries: 100}, ErrBudget},
		"image of layers":    {imagetest.Zstd(t, bomb), Limits{ImageBytes: 1 << 20}, ErrBudget},
		"zstd of 2 GiB":      {frame(0xa8), Limits{}, ErrMalformed},
		"zstd of 128 MiB":    {frame(0x88), Limits{}, ErrMalformed},
		"truncated gzip":     {imagetest.Gzip(t, bomb)[:100], Limits{}, nil},
		"gzip with garbage":  {append(imagetest.Gzip(t, imagetest.Tar(t, file{Name: "f"})), "garbage"...), Limits{}, ErrMalformed},
		"not a tar":          {bytes.Repeat([]byte("not a tar "), 100), Limits{}, ErrMalformed},
		"endless pax header": {paxStorm(), Limits{LayerBytes: 1 << 20, LayerEntries: 100}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			host := imagetest.NewRegistry(t)
			imagetest.Push(t, host+"/app:1", imagetest.Config{}, c.layer)
			o := testOptions()
			o.Limits = c.lim
			s := openStore(t, t.TempDir(), o)
			_, err := s.Pull(t.Context(), host+"/app:1", PullOptions{})
			if err == nil {
				t.Fatal("pulled")
			}
			if c.kind != nil {
				wantKind(t, err, c.kind)
			}
			nothingStored(t, s)
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.Sys > 1<<30 {
				t.Errorf("the process uses %d MiB, want at most 1024", m.Sys>>20)
			}
		})
	}
}

// TestPullCountsLayersThatArePresent checks that layers that the store already has count towards the budget.
func TestPullCountsLayersThatArePresent(t *testing.T) {
	host := imagetest.NewRegistry(t)
	body := strings.Repeat("x", 64<<10)
	present := imagetest.Gzip(t, imagetest.Tar(t, file{Name: "f", Body: body}))
	imagetest.Push(t, host+"/app:1", imagetest.Config{}, present)
	imagetest.Push(t, host+"/app:2", imagetest.Config{}, imagetest.Gzip(t, imagetest.Tar(t, file{Name: "g", Body: body})), present)
	root := t.TempDir()
	mustPull(t, openStore(t, root, testOptions()), host+"/app:1")
	o := testOptions()
	o.Limits = Limits{ImageBytes: 100 << 10}
	_, err := openStore(t, root, o).Pull(t.Context(), host+"/app:2", PullOptions{})
	wantKind(t, err, ErrBudget)
}

// TestPullRepairsDamagedDocuments checks that a pull fetches a document again that is damaged in the store.
func TestPullRepairsDamagedDocuments(t *testing.T) {
	img := imagetest.Build(t, imagetest.Config{Cmd: []string{"good"}}, imagetest.Tar(t, file{Name: "f"}))
	host := imagetest.NewRegistry(t)
	imagetest.PushImage(t, host+"/app:1", img)
	s := testStore(t)
	mustPull(t, s, host+"/app:1")
	evil := bytes.Replace(img.Config, []byte("good"), []byte("evil"), 1)
	if err := os.WriteFile(s.blobPath(imagetest.Digest(img.Config)), evil, 0o600); err != nil {
		t.Fatal(err)
	}
	mustPull(t, s, host+"/app:1")
	fsck(t, s)
}

// paxStorm returns a tar with many extended headers and no file after them.
func paxStorm() []byte {
	h := make([]byte, 512)
	copy(h, "pax")
	copy(h[100:], "0000644\x000000000\x000000000\x0000000001000\x0000000000000\x00")
	h[156] = 'x'
	copy(h[257:], "ustar\x0000")
	sum := 8 * 32
	for i, b := range h {
		if i < 148 || i >= 156 {
			sum += int(b)
		}
	}
	copy(h[148:], []byte{'0' + byte(sum>>15&7), '0' + byte(sum>>12&7), '0' + byte(sum>>9&7), '0' + byte(sum>>6&7), '0' + byte(sum>>3&7), '0' + byte(sum&7), 0, ' '})
	body := make([]byte, 512)
	copy(body, "512 comment=")
	for i := 12; i < 511; i++ {
		body[i] = 'c'
	}
	body[511] = '\n'
	return bytes.Repeat(append(h, body...), 8000)
}
