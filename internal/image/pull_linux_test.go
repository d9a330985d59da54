package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// typed returns an image with other media types in its manifest. If the manifest's type is empty, the registry still says that it is
// an OCI manifest.
func typed(t *testing.T, i imagetest.Image, manifest, config, layers types.MediaType) imagetest.Image {
	t.Helper()
	var m v1.Manifest
	if err := json.Unmarshal(i.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	m.MediaType, m.Config.MediaType = manifest, config
	for n := range m.Layers {
		m.Layers[n].MediaType = layers
	}
	i.Manifest = imagetest.JSON(t, m)
	if manifest != "" {
		i.MediaType = manifest
	}
	return i
}

func TestPullAllFormats(t *testing.T) {
	host := imagetest.NewRegistry(t)
	plain := imagetest.Tar(t, file{Name: "plain", Body: "1"})
	gz := imagetest.Gzip(t, imagetest.Tar(t, file{Name: "gzip", Body: "2"}))
	members := append(imagetest.Gzip(t, imagetest.Tar(t, file{Name: "x", Body: "3"})[:512]), imagetest.Gzip(t, imagetest.Tar(t, file{Name: "x", Body: "3"})[512:])...)
	zs := imagetest.Zstd(t, imagetest.Tar(t, file{Name: "zstd", Body: "4"}))
	c := imagetest.Config{
		Entrypoint: []string{"/e"}, Cmd: []string{"c"}, Env: []string{"A=b", "EMPTY="}, WorkingDir: "/w/", User: "1000:1000",
		Labels: map[string]string{"l": "v"},
	}
	built := imagetest.Build(t, c, plain, gz, members, zs)
	for name, i := range map[string]imagetest.Image{
		"oci":    built,
		"docker": typed(t, built, types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer),
		// In each of these, the media type of some layers is wrong.
		"docker-zstd":        typed(t, built, types.DockerManifestSchema2, types.DockerConfigJSON, "application/vnd.docker.image.rootfs.diff.tar.zstd"),
		"docker-foreign":     typed(t, built, types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerForeignLayer),
		"docker-with-oci":    typed(t, built, types.DockerManifestSchema2, types.OCIConfigJSON, types.OCILayer),
		"oci-restricted":     typed(t, built, types.OCIManifestSchema1, types.OCIConfigJSON, types.OCIRestrictedLayer),
		"oci-restricted-tar": typed(t, built, types.OCIManifestSchema1, types.OCIConfigJSON, types.OCIUncompressedRestrictedLayer),
		"oci-untyped":        typed(t, built, "", "", types.OCIUncompressedLayer),
	} {
		t.Run(name, func(t *testing.T) {
			s := testStore(t)
			ref := host + "/some/" + name + ":1"
			digest := imagetest.PushImage(t, ref, i)
			img := mustPull(t, s, ref)
			if img.Reference != ref || img.Canonical != ref || img.Digest != host+"/some/"+name+"@"+digest {
				t.Errorf("image is %+v", img)
			}
			if img.Config.WorkingDir != "/w" || img.Config.User != "1000:1000" || img.Config.Labels["l"] != "v" || strings.Join(img.Config.Env, " ") != "A=b EMPTY=" {
				t.Errorf("config is %+v", img.Config)
			}
			var got []string
			for _, l := range img.Layers {
				for _, n := range readDir(t, l.Path) {
					b, _ := os.ReadFile(filepath.Join(l.Path, n))
					got = append(got, n+string(b))
				}
			}
			if s := strings.Join(got, " "); s != "plain1 gzip2 x3 zstd4" || img.Size != 4 {
				t.Errorf("the layers contain %s, %d bytes", s, img.Size)
			}
			for _, by := range []string{ref, img.Digest, host + "/some/" + name + ":1@" + digest} {
				if again, err := s.Lookup(by); err != nil || again.ID != img.ID || len(again.Layers) != 4 {
					t.Errorf("lookup by %s: %+v, %v", by, again, err)
				}
			}
			fsck(t, s)
		})
	}
}

// TestPullIndexWithoutMediaTypes checks that an index and its entries may lack media types, and that a pull doesn't choose other entries
// than images, such as attestations.
func TestPullIndexWithoutMediaTypes(t *testing.T) {
	host := imagetest.NewRegistry(t)
	beside := imagetest.BuildFor(t, v1.Platform{OS: "unknown", Architecture: "unknown"}, imagetest.Config{}, imagetest.Tar(t, file{Name: "attestation"}))
	image := imagetest.Build(t, imagetest.Config{}, imagetest.Tar(t, file{Name: "image"}))
	imagetest.PushImage(t, host+"/x:beside", beside)
	imagetest.PushImage(t, host+"/x:image", image)
	for name, entries := range map[string]bool{"of the index": false, "of its entries too": true} {
		t.Run(name, func(t *testing.T) {
			index := imagetest.Index(t, beside, image)
			var m v1.IndexManifest
			if err := json.Unmarshal(index.Manifest, &m); err != nil {
				t.Fatal(err)
			}
			m.MediaType = ""
			for n := range m.Manifests {
				if entries {
					m.Manifests[n].MediaType = ""
				}
			}
			index.Manifest = imagetest.JSON(t, m)
			imagetest.PushImage(t, host+"/x:1", index)
			img := mustPull(t, testStore(t), host+"/x:1")
			if len(img.Layers) != 1 || strings.Join(readDir(t, img.Layers[0].Path), " ") != "image" {
				t.Errorf("got the image %+v", img)
			}
		})
	}
}

func TestPullFetchesOnlyWhatIsNew(t *testing.T) {
	r := imagetest.Serve(t, nil)
	base := imagetest.Gzip(t, imagetest.Tar(t, file{Name: "base"}))
	imagetest.Push(t, r.Host+"/a:1", imagetest.Config{}, base)
	imagetest.Push(t, r.Host+"/b:1", imagetest.Config{Cmd: []string{"b"}}, base, imagetest.Tar(t, file{Name: "top"}))
	s := testStore(t)
	mustPull(t, s, r.Host+"/a:1")
	r.Reset()
	var mu sync.Mutex
	var phases []string
	img, err := s.Pull(t.Context(), r.Host+"/b:1", PullOptions{Progress: func(e ProgressEvent) {
		mu.Lock()
		defer mu.Unlock()
		phases = append(phases, string(e.Phase))
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Count(http.MethodGet, "/blobs/"); n != 2 { // config and the new layer
		t.Errorf("fetched %d blobs, want 2", n)
	}
	// Layers are handled in parallel, so the order of their phases isn't known.
	if phases[0] != "resolving" || !slices.Contains(phases, "present") || !slices.Contains(phases, "unpacked") || phases[len(phases)-1] != "done" {
		t.Errorf("got the phases %s", phases)
	}
	r.Reset()
	if _, err := s.Lookup(img.Reference); err != nil || r.Count("", "/") != 0 {
		t.Errorf("Lookup of a pulled image: %v, %d requests, want none", err, r.Count("", "/"))
	}
}

// TestLayersAreListedOnce checks that an image has a layer once that its manifest lists twice, since overlayfs doesn't accept the same
// directory twice.
func TestLayersAreListedOnce(t *testing.T) {
	host := imagetest.NewRegistry(t)
	a, b := imagetest.Tar(t, file{Name: "a"}), imagetest.Tar(t, file{Name: "b"})
	imagetest.Push(t, host+"/x:1", imagetest.Config{}, a, b, a)
	img := mustPull(t, testStore(t), host+"/x:1")
	if len(img.Layers) != 2 || img.Layers[0].DiffID != imagetest.Digest(b).String() || img.Layers[1].DiffID != imagetest.Digest(a).String() {
		t.Errorf("got the layers %+v", img.Layers)
	}
}

func TestPullChoosesThePlatform(t *testing.T) {
	host := imagetest.NewRegistry(t)
	build := func(os, arch, variant string) imagetest.Image {
		i := imagetest.BuildFor(t, v1.Platform{OS: os, Architecture: arch, Variant: variant}, imagetest.Config{},
			imagetest.Tar(t, file{Name: arch + variant}))
		imagetest.PushImage(t, host+"/multi", i)
		return i
	}
	attestation := build("unknown", "unknown", "")
	index := imagetest.PushImage(t, host+"/multi:1", imagetest.Index(t,
		attestation, build("linux", "amd64", ""), build("linux", "arm64", "v8"), build("linux", "arm", "v6"), build("linux", "arm", "v7")))
	s := testStore(t)
	for _, c := range []struct{ ask, want string }{
		{"linux/amd64", "linux/amd64"},
		{"arm64", "linux/arm64/v8"},
		{"linux/arm64/v8", "linux/arm64/v8"},
		{"linux/arm", "linux/arm/v7"},
		{"linux/arm/v6", "linux/arm/v6"},
		{"linux/amd64/v1", "linux/amd64"},
	} {
		p, err := ParsePlatform(c.ask)
		if err != nil {
			t.Fatal(err)
		}
		img, err := s.Pull(t.Context(), host+"/multi@"+index, PullOptions{Platform: p})
		if err != nil || img.Platform.String() != c.want {
			t.Errorf("%s: got %v, %v; want %s", c.ask, img, err, c.want)
			continue
		}
		if again, err := s.LookupPlatform(host+"/multi@"+index, p); err != nil || again.Digest != img.Digest {
			t.Errorf("lookup of %s: %v", c.ask, err)
		}
	}
	_, err := s.Pull(t.Context(), host+"/multi:1", PullOptions{Platform: Platform{OS: "linux", Architecture: "riscv64"}})
	wantKind(t, err, ErrPlatform)
	if !strings.Contains(err.Error(), "linux/amd64, linux/arm64/v8, linux/arm/v6, linux/arm/v7") || strings.Contains(err.Error(), "unknown") {
		t.Errorf("the error doesn't name the platforms: %v", err)
	}
	imagetest.PushImage(t, host+"/single:1", imagetest.BuildFor(t, v1.Platform{OS: "linux", Architecture: "s390x"}, imagetest.Config{}))
	_, err = s.Pull(t.Context(), host+"/single:1", PullOptions{})
	wantKind(t, err, ErrPlatform)
}

func TestPullUsesMirrorsInOrder(t *testing.T) {
	layer := imagetest.Tar(t, file{Name: "f", Body: strings.Repeat("x", 1000)})
	main := imagetest.Serve(t, nil)
	mirror := imagetest.Serve(t, nil)
	imagetest.Push(t, mirror.Host+"/prefix/team/app:1", imagetest.Config{}, layer)
	imagetest.Push(t, main.Host+"/team/app:1", imagetest.Config{}, layer)
	imagetest.Push(t, main.Host+"/team/other:1", imagetest.Config{}, layer)
	dead := deadHost(t)
	o := testOptions()
	o.Registries = Config{Registries: map[string]Registry{main.Host: {Mirrors: []string{dead, "http://" + mirror.Host + "/prefix"}}}}
	main.Reset()
	img := mustPull(t, openStore(t, t.TempDir(), o), main.Host+"/team/app:1")
	if main.Count("", "/") != 0 || img.Canonical != main.Host+"/team/app:1" {
		t.Errorf("the registry behind the mirror got %d requests, want none; the image is %s", main.Count("", "/"), img.Canonical)
	}
	// The registry has an image that the mirrors don't have.
	mustPull(t, openStore(t, t.TempDir(), o), main.Host+"/team/other:1")
	_, err := openStore(t, t.TempDir(), o).Pull(t.Context(), main.Host+"/team/none:1", PullOptions{})
	wantKind(t, err, ErrNotFound)
	if !strings.Contains(err.Error(), dead) || !strings.Contains(err.Error(), main.Host) {
		t.Errorf("the error doesn't name the places that were asked: %v", err)
	}
}

// TestPullLeavesACorruptMirror checks that a pull asks the next place if the blob of a mirror is wrong.
func TestPullLeavesACorruptMirror(t *testing.T) {
	layer := imagetest.Gzip(t, imagetest.Tar(t, file{Name: "f", Body: strings.Repeat("x", 1000)}))
	bad := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, imagetest.Digest(layer).String()) {
			w.Write(make([]byte, len(layer)))
			return
		}
		next.ServeHTTP(w, r)
	})
	main := imagetest.Serve(t, nil)
	for _, h := range []string{bad.Host, main.Host} {
		imagetest.Push(t, h+"/app:1", imagetest.Config{}, layer)
	}
	o := testOptions()
	o.Registries = Config{Registries: map[string]Registry{main.Host: {Mirrors: []string{bad.Host}}}}
	s := openStore(t, t.TempDir(), o)
	mustPull(t, s, main.Host+"/app:1")
	fsck(t, s)
}

// deadHost returns an address at which nothing listens. Nothing else can begin to listen there until the test ends, since a socket
// without listen(2) is bound to it.
func deadHost(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(at.(*unix.SockaddrInet4).Port))
}

func TestPullOverTLS(t *testing.T) {
	r := imagetest.ServeTLS(t, nil)
	ref := r.Host + "/app:1"
	ca, err := loadCAs(r.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig.RootCAs = ca
	defer tr.CloseIdleConnections()
	imagetest.PushVia(t, &http.Client{Transport: tr}, "https", ref, imagetest.Build(t, imagetest.Config{}, imagetest.Tar(t, file{Name: "f"})))
	o := testOptions()
	_, err = openStore(t, t.TempDir(), o).Pull(t.Context(), ref, PullOptions{})
	wantKind(t, err, ErrTLS)
	o.Registries = Config{Registries: map[string]Registry{r.Host: {CAFile: r.CAFile}}}
	mustPull(t, openStore(t, t.TempDir(), o), ref)
}

func TestPullErrorsSayWhatToDo(t *testing.T) {
	status := func(code int) imagetest.Middleware {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				http.Error(w, "no\x1b[31m"+strings.Repeat("long", 1000), code)
				return
			}
			next.ServeHTTP(w, r)
		}
	}
	unresolved := "registry.invalid/app:1"
	for name, c := range map[string]struct {
		ref  string
		kind error
		says string
	}{
		"bad name":     {"UPPER/case:1", ErrReference, "name"},
		"down":         {deadHost(t) + "/app:1", ErrUnreachable, "nothing listens"},
		"unknown":      {imagetest.NewRegistry(t) + "/app:1", ErrNotFound, "check the name"},
		"unauthorised": {imagetest.Serve(t, status(401)).Host + "/app:1", ErrUnauthorized, "docker login 127.0.0.1:"},
		"forbidden":    {imagetest.Serve(t, status(403)).Host + "/app:1", ErrUnauthorized, "docker login 127.0.0.1:"},
		"rate limit":   {imagetest.Serve(t, status(429)).Host + "/app:1", ErrUnavailable, "too many"},
		"server error": {imagetest.Serve(t, status(500)).Host + "/app:1", ErrUnavailable, "500"},
		"no such host": {unresolved, ErrUnreachable, "registry.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			s := testStore(t)
			_, err := s.Pull(t.Context(), c.ref, PullOptions{})
			wantKind(t, err, c.kind)
			if msg := err.Error(); !strings.Contains(msg, c.says) || !strings.Contains(msg, "pull "+c.ref) || strings.Contains(msg, "\x1b") || len(msg) > 1000 {
				t.Errorf("got the error %q, want a short one with %q", msg, c.says)
			}
			nothingStored(t, s)
		})
	}
}

func TestPullRefusesPlainHTTPToOtherMachines(t *testing.T) {
	s := testStore(t)
	// For this private address go-containerregistry itself would use plain HTTP. The test calls the guard directly, with a
	// next transport that fails the test.
	g := &guard{host: "10.1.2.3:5000", next: roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, errors.New("not here")
	})}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://10.1.2.3:5000/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.RoundTrip(req) //nolint:bodyclose // there is no response
	wantKind(t, err, ErrPlainHTTP)
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "127.9.9.9": true, "[::1]:5000": true,
		"10.0.0.1:5000": false, "192.168.1.1": false, "localhost.example": false, "example.com": false,
	} {
		e, err := s.opts.Registries.endpoints(host)
		if err != nil || e[0].plain != want {
			t.Errorf("%s: got %v, %v; want plain HTTP: %v", host, e, err, want)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPullOutlastsTransientFailures(t *testing.T) {
	body := make([]byte, 3<<20)
	if _, err := rand.NewChaCha8([32]byte{}).Read(body); err != nil {
		t.Fatal(err)
	}
	layer := imagetest.Tar(t, file{Name: "f", Body: string(body)})
	for _, ranges := range []bool{true, false} {
		t.Run(fmt.Sprintf("ranges=%v", ranges), func(t *testing.T) {
			var mu sync.Mutex
			seen := map[string]int{}
			var asked []string
			r := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				isLayer := strings.HasSuffix(r.URL.Path, imagetest.Digest(layer).String())
				mu.Lock()
				seen[r.URL.Path]++
				n := seen[r.URL.Path]
				if isLayer {
					asked = append(asked, r.Header.Get("Range"))
				}
				mu.Unlock()
				switch {
				case isLayer && n <= 2:
					cut := &cutWriter{ResponseWriter: w, left: len(layer) / 4}
					http.ServeContent(cut, r, "", time.Time{}, bytes.NewReader(layer))
				case isLayer && ranges:
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(layer))
				case n > 1:
					next.ServeHTTP(w, r)
				default:
					http.Error(w, "busy", http.StatusServiceUnavailable)
				}
			})
			imagetest.Push(t, r.Host+"/app:1", imagetest.Config{}, layer)
			s := testStore(t)
			mustPull(t, s, r.Host+"/app:1")
			fsck(t, s)
			if len(asked) < 3 || asked[0] != "" || !strings.HasPrefix(asked[1], "bytes=") || !strings.HasPrefix(asked[2], "bytes=") || asked[2] == asked[1] {
				t.Errorf("got requests for the ranges %q", asked)
			}
		})
	}
}

// cutWriter breaks the connection after left bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	c.ResponseWriter.Write(p[:c.left])
	c.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// TestOddConfigs checks that unusual configs that other engines accept are accepted.
func TestOddConfigs(t *testing.T) {
	for name, c := range map[string]struct {
		config imagetest.Config
		dir    string
		env    []string
	}{
		"relative directory": {imagetest.Config{WorkingDir: "app"}, "/app", nil},
		"unclean directory":  {imagetest.Config{WorkingDir: "/app//x/./y/../"}, "/app/x", nil},
		"above the root":     {imagetest.Config{WorkingDir: "/../app"}, "/app", nil},
		"odd environment":    {imagetest.Config{Env: []string{"PATH=/bin", "NAME", "=x", "A=b=c"}}, "", []string{"PATH=/bin", "A=b=c"}},
	} {
		t.Run(name, func(t *testing.T) {
			host := imagetest.NewRegistry(t)
			imagetest.Push(t, host+"/odd:1", c.config, imagetest.Tar(t, file{Name: "f"}))
			img := mustPull(t, testStore(t), host+"/odd:1")
			if img.Config.WorkingDir != c.dir || !slices.Equal(img.Config.Env, c.env) {
				t.Errorf("got %q, %q; want %q, %q", img.Config.WorkingDir, img.Config.Env, c.dir, c.env)
			}
		})
	}
}
