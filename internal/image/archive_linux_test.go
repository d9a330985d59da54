package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

func TestSaveAndLoadKeepDigests(t *testing.T) {
	host := imagetest.NewRegistry(t)
	s := testStore(t)
	var refs []string
	for _, n := range []string{"a", "b"} {
		refs = append(refs, host+"/"+n+":1")
		imagetest.Push(t, host+"/"+n+":1", imagetest.Config{Cmd: []string{n}}, imagetest.Gzip(t, imagetest.Tar(t, file{Name: "shared"})), imagetest.Zstd(t, imagetest.Tar(t, file{Name: n})))
		mustPull(t, s, host+"/"+n+":1")
	}
	var one, two bytes.Buffer
	for _, b := range []*bytes.Buffer{&one, &two} {
		if err := s.Save(t.Context(), refs, b); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two saves differ")
	}
	for name, raw := range map[string][]byte{"plain": one.Bytes(), "gzip": imagetest.Gzip(t, one.Bytes()), "zstd": imagetest.Zstd(t, one.Bytes())} {
		t.Run(name, func(t *testing.T) {
			to := testStore(t)
			all, err := to.Load(t.Context(), bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != 2 {
				t.Fatalf("loaded %d images, want 2", len(all))
			}
			for i, ref := range refs {
				from, _ := s.Lookup(ref)
				img, err := to.Lookup(ref)
				if err != nil || img.Digest != from.Digest || all[i].Digest != from.Digest || len(img.Layers) != 2 {
					t.Errorf("%s is %+v, %v; want %s", ref, img, err, from.Digest)
				}
				if got, want := imagetest.HashTree(t, img.Layers[1].Path), imagetest.HashTree(t, from.Layers[1].Path); got != want {
					t.Error("the layer has changed")
				}
			}
			fsck(t, to)
		})
	}
	err := s.Save(t.Context(), []string{"none:1"}, &bytes.Buffer{})
	wantKind(t, err, ErrNotFound)
}

func TestLoadArchives(t *testing.T) {
	layer := imagetest.Tar(t, file{Name: "f", Body: "x"})
	top := imagetest.Gzip(t, imagetest.Tar(t, file{Name: "g", Body: "y"}))
	c := imagetest.Config{Cmd: []string{"run"}}
	foreign := imagetest.BuildFor(t, v1.Platform{OS: "linux", Architecture: "s390x"}, c, layer)
	for name, a := range map[string]struct {
		raw []byte
		ref string
	}{
		"old docker save":     {imagetest.DockerArchive(t, "team/app:1", c, layer, top), "team/app:1"},
		"layout":              {imagetest.Layout(t, "docker.io/team/app:1", imagetest.Build(t, c, layer, top)), "team/app:1"},
		"layout, only a tag":  {imagetest.Layout(t, "", imagetest.Build(t, c, layer, top)), ""},
		"another platform":    {imagetest.Layout(t, "team/app:1", foreign), ""},
		"docker, only layers": {imagetest.DockerArchive(t, "", c, layer, top), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := testStore(t)
			all, err := s.Load(t.Context(), bytes.NewReader(a.raw))
			if err != nil || len(all) != 1 || all[0].Config.Cmd[0] != "run" {
				t.Fatalf("loaded %+v, %v; want one image", all, err)
			}
			if a.ref != "" {
				if all[0].Reference != a.ref {
					t.Errorf("got the reference %q, want %q", all[0].Reference, a.ref)
				}
				if _, err := s.Lookup(a.ref); err != nil {
					t.Error(err)
				}
			}
			if _, err := s.LookupPlatform(all[0].Digest, all[0].Platform); err != nil {
				t.Error(err)
			}
			if b, err := os.ReadFile(filepath.Join(all[0].Layers[0].Path, "f")); string(b) != "x" {
				t.Errorf("the file contains %q, %v", b, err)
			}
			fsck(t, s)
		})
	}
}

func TestLoadRefusesHostileArchives(t *testing.T) {
	layer := imagetest.Tar(t, file{Name: "f"})
	good := imagetest.Build(t, imagetest.Config{}, layer)
	evil := imagetest.Build(t, imagetest.Config{}, imagetest.Tar(t, file{Name: "../../evil", Body: "x"}))
	d := imagetest.Digest(layer)
	layout := func(i imagetest.Image) []byte { return imagetest.Layout(t, "a:1", i) }
	whole := layout(good)
	without := good
	without.Blobs = map[string][]byte{imagetest.Digest(good.Config).String(): good.Config}
	for name, c := range map[string]struct {
		raw  []byte
		kind error
	}{
		"empty":                  {nil, ErrMalformed},
		"no tar":                 {[]byte(strings.Repeat("garbage", 1000)), ErrMalformed},
		"nothing in it":          {imagetest.Tar(t, file{Name: "readme"}), ErrMalformed},
		"no images":              {imagetest.Tar(t, file{Name: "index.json", Body: `{"schemaVersion":2,"manifests":[]}`}), ErrMalformed},
		"truncated":              {whole[:bytes.Index(whole, layer)+100], ErrTruncated},
		"name climbs":            {imagetest.Tar(t, file{Name: "../../x", Body: "x"}), ErrHostile},
		"wrong blob":             {imagetest.Tar(t, file{Name: "blobs/sha256/" + d.Hex, Body: "other"}), ErrDigest},
		"missing layer":          {layout(without), ErrNotFound},
		"hostile layer":          {layout(evil), ErrHostile},
		"hostile config":         {layout(imagetest.Build(t, imagetest.Config{WorkingDir: "/proc/self"}, layer)), ErrHostile},
		"config through a link":  {imagetest.Tar(t, file{Name: "manifest.json", Body: `[{"Config":"c","Layers":[]}]`}, file{Name: "c", Type: tar.TypeSymlink, Link: "/etc/passwd"}), ErrMalformed},
		"links in a ring":        {imagetest.Tar(t, file{Name: "manifest.json", Body: `[{"Config":"c","Layers":[]}]`}, file{Name: "c", Type: tar.TypeSymlink, Link: "d"}, file{Name: "d", Type: tar.TypeSymlink, Link: "c"}), ErrMalformed},
		"another image's digest": {imagetest.Layout(t, "a@sha256:"+zeros64, good), ErrDigest},
		"no image name":          {imagetest.Layout(t, "../A b", good), ErrReference},
		"5 MiB index":            {imagetest.Tar(t, file{Name: "index.json", Body: strings.Repeat(" ", 5<<20)}), ErrBudget},
		"layer bomb":             {layout(imagetest.Build(t, imagetest.Config{}, imagetest.Zstd(t, imagetest.Tar(t, file{Name: "z", Body: string(make([]byte, 32<<20))})))), ErrBudget},
		"archive bomb":           {imagetest.Zstd(t, append(imagetest.Tar(t, file{Name: "z", Body: string(make([]byte, 40<<20))}), make([]byte, 40<<20)...)), ErrBudget},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			o.Limits = Limits{LayerBytes: 8 << 20, ImageBytes: 16 << 20, LayerEntries: 1000}
			s := openStore(t, t.TempDir(), o)
			_, err := s.Load(t.Context(), bytes.NewReader(c.raw))
			wantKind(t, err, c.kind)
			for _, dir := range []string{s.tmpDir(), s.imageDir(), s.refDir(), s.layerDir(), s.holdDir()} {
				if left := readDir(t, dir); len(left) > 0 {
					t.Errorf("%s contains %q, want nothing", dir, left)
				}
			}
			fsck(t, s)
		})
	}
}

// TestLoadStopsAtItsBudget is M03: entries of an archive that aren't layers also count towards a budget.
func TestLoadStopsAtItsBudget(t *testing.T) {
	for name, c := range map[string]struct {
		entry file
		n     int64
	}{
		"entries": {file{Name: "pipe", Type: tar.TypeFifo}, maxArchiveFiles + 1},
		"bytes":   {file{Name: "skipped", Type: tar.TypeCont, Body: strings.Repeat("x", 8<<20)}, 2 + maxArchiveFiles*tarEntryBytes/(8<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			o.Limits = Limits{ImageBytes: 1 << 20}
			s := openStore(t, t.TempDir(), o)
			one := imagetest.Tar(t, c.entry)
			_, err := s.Load(t.Context(), &repeat{entry: one[:len(one)-1024], n: c.n})
			wantKind(t, err, ErrBudget)
			nothingStored(t, s)
		})
	}
}

// TestM03_FilesThatNoImageNames checks that an archive of a few kilobytes can't fill the disk with files that its images don't have.
// Which files they have may be known only at the end of the archive; then the other files are removed.
func TestM03_FilesThatNoImageNames(t *testing.T) {
	layer := imagetest.Tar(t, file{Name: "f", Body: "x"})
	whole := imagetest.Layout(t, "a:1", imagetest.Build(t, imagetest.Config{}, layer))
	zeros := imagetest.Tar(t, file{Name: "one", Body: string(make([]byte, 20<<20))}, file{Name: "two", Body: string(make([]byte, 20<<20))})
	archive := append(zeros[:len(zeros)-2*tarBlock:len(zeros)-2*tarBlock], whole...)
	o := testOptions()
	o.Limits = Limits{LayerBytes: 32 << 20, ImageBytes: 64 << 20}
	for name, c := range map[string]struct {
		raw  []byte
		kind error
	}{
		"as it is":  {archive, nil},
		"zstd":      {imagetest.Zstd(t, archive), ErrBudget},
		"bzip2":     {filter(t, archive, "bzip2"), ErrBudget},
		"the image": {imagetest.Zstd(t, whole), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir(), o)
			if _, err := s.Load(t.Context(), bytes.NewReader(c.raw)); c.kind != nil || err != nil {
				wantKind(t, err, c.kind)
			}
		})
	}

	s, dir := openStore(t, t.TempDir(), o), t.TempDir()
	a, err := spool(t.Context(), bytes.NewReader(archive), dir, s.opts.Limits)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(readDir(t, dir)); got != len(a.blobs) || got != len(a.files)-1 || a.kept > 21<<20 {
		t.Errorf("%d of %d files are kept, with %d bytes; two files are the same and must be kept once", got, len(a.files), a.kept)
	}
	found, err := s.readArchive(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.keep(found); err != nil || len(a.blobs) != 1 || len(readDir(t, dir)) != 1 {
		t.Errorf("got the blobs %v and the files %q, %v; want only the layer", a.blobs, readDir(t, dir), err)
	}
}

// failingReader always fails, like a broken pipe.
type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestLoadFromABrokenPipe(t *testing.T) {
	broken := errors.New("broken")
	_, err := testStore(t).Load(t.Context(), failingReader{broken})
	wantKind(t, err, broken)
}

// TestLoadCompressed checks the formats in which people compress archives.
func TestLoadCompressed(t *testing.T) {
	archive := imagetest.Layout(t, "a:1", imagetest.Build(t, imagetest.Config{}, imagetest.Tar(t, file{Name: "f", Body: "x"})))
	for _, command := range [][]string{{"xz"}, {"xz", "-9e"}, {"xz", "-T2", "--block-size=1KiB"}, {"bzip2"}, {"gzip"}} {
		compressed := filter(t, archive, command...)
		if _, err := testStore(t).Load(t.Context(), bytes.NewReader(compressed)); err != nil {
			t.Errorf("%v: %v", command, err)
		}
		_, err := testStore(t).Load(t.Context(), bytes.NewReader(compressed[:len(compressed)/2]))
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTruncated) {
			t.Errorf("half of an archive by %v: %v", command, err)
		}
	}
	// No preset of xz has a dictionary as large as 128 MiB.
	_, err := testStore(t).Load(t.Context(), bytes.NewReader(filter(t, archive, "xz", "--lzma2=dict=128MiB")))
	if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "dictionary size exceeds max") {
		t.Errorf("a dictionary of 128 MiB: %v", err)
	}
}

// filter returns the output of a program for a standard input.
func filter(t *testing.T, in []byte, argv ...string) []byte {
	t.Helper()
	cmd := exec.Command(argv[0], append(argv[1:], "-c")...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", argv, err)
	}
	return out
}

// TestLoadSaysWhatItIs checks that the error for a file that isn't an image says what it is.
func TestLoadSaysWhatItIs(t *testing.T) {
	sector := make([]byte, 1024)
	sector[510], sector[511] = 0x55, 0xaa
	for want, content := range map[string][]byte{
		"it is an empty file, not the archive of an image": nil,
		"an empty tar archive":                             make([]byte, 1024),
		"a Singularity image (SIF), not":                   append([]byte(strings.Repeat("#", 32)), "SIF_MAGIC"...),
		"a zip archive":                                    []byte("PK\x03\x04 and more"),
		"a program":                                        []byte("\x7fELF\x02\x01"),
		"a virtual machine's disk (QCOW2)":                 []byte("QFI\xfb\x00\x00\x00\x03"),
		"a disk with a boot sector":                        sector,
		"a web page":                                       []byte("\n<!DOCTYPE html><title>404</title>"),
		"a JSON file":                                      []byte(`{"schemaVersion": 2}`),
		"a text file, not":                                 []byte(strings.Repeat("FROM debian # größer\n", 40)),
		"a file of an unknown kind":                        []byte("\x00\x01\x02"),
		"it is a text file":                                imagetest.Gzip(t, []byte("hello\n")),
		"the file system of a container or machine":        imagetest.Tar(t, file{Name: "app/manifest.json", Body: "{}"}, file{Name: "etc/passwd", Body: "root"}),
		"has neither an index.json nor a manifest.json; give an OCI layout":                                                    imagetest.Tar(t, file{Name: "readme"}),
		"its manifest.json is in the folder image/, not at the top; make the tar in that folder: tar -C image -cf image.tar .": imagetest.Tar(t, file{Name: "image/manifest.json", Body: "[]"}),
	} {
		_, err := testStore(t).Load(t.Context(), bytes.NewReader(content))
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
