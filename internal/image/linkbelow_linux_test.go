package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

func hardlink(name, target string) file { return file{Name: name, Type: tar.TypeLink, Link: target} }

// TestLinksBelow checks that a hard link to a file of a layer below is that file, as the layers below have it.
func TestLinksBelow(t *testing.T) {
	below := []file{{Name: "srv/", UID: 7, Mode: 0o750}, {Name: "srv/a", Body: "below", UID: 1000, GID: 1001, Mode: 0o755}}
	const content = "below"
	for name, test := range map[string]struct {
		layers [][]file
		want   string // content of srv/link
		kind   error
	}{
		"in the layer below":      {[][]file{below, {hardlink("srv/link", "srv/a")}}, content, nil},
		"in the root":             {[][]file{{{Name: "top", Body: content}}, {hardlink("srv/link", "top")}}, content, nil},
		"two layers below":        {[][]file{below, {{Name: "x"}}, {hardlink("srv/link", "srv/a")}}, content, nil},
		"the nearest":             {[][]file{below, {{Name: "srv/a", Body: "nearer"}}, {hardlink("srv/link", "srv/a")}}, "nearer", nil},
		"replaces a file below":   {[][]file{below, {{Name: "srv/link", Body: "old"}}, {hardlink("srv/link", "srv/a")}}, content, nil},
		"replaces an earlier":     {[][]file{below, {{Name: "srv/link", Body: "old"}, hardlink("srv/link", "srv/a")}}, content, nil},
		"replaces a whiteout":     {[][]file{below, {{Name: "srv/.wh.link"}, hardlink("srv/link", "srv/a")}}, content, nil},
		"replaced later":          {[][]file{below, {hardlink("srv/link", "srv/a"), {Name: "srv/link", Body: "mine"}}}, "mine", nil},
		"replaced above":          {[][]file{below, {hardlink("srv/link", "srv/a")}, {{Name: "srv/link", Body: "above"}}}, "above", nil},
		"its target goes above":   {[][]file{below, {hardlink("srv/link", "srv/a")}, {{Name: "srv/.wh.a"}}}, content, nil},
		"of a link":               {[][]file{below, {hardlink("srv/b", "srv/a"), hardlink("srv/link", "srv/b")}}, content, nil},
		"of a link that changes":  {[][]file{below, {hardlink("srv/b", "srv/a"), hardlink("srv/link", "srv/b"), {Name: "srv/b", Body: "new"}}}, content, nil},
		"of a link below":         {[][]file{below, {hardlink("srv/b", "srv/a")}, {hardlink("srv/link", "srv/b")}}, content, nil},
		"its target changes":      {[][]file{below, {hardlink("srv/link", "srv/a"), {Name: "srv/a", Body: "new"}}}, content, nil},
		"of itself":               {[][]file{below, {{Name: "srv/link", Body: "old"}}, {hardlink("srv/link", "srv/link")}}, "old", nil},
		"by an absolute name":     {[][]file{below, {hardlink("srv/link", "/srv/a")}}, content, nil},
		"a symbolic link":         {[][]file{below, {{Name: "srv/s", Type: tar.TypeSymlink, Link: "a"}}, {hardlink("srv/link", "srv/s")}}, content, nil},
		"listed later":            {[][]file{below, {hardlink("srv/link", "srv/b"), {Name: "srv/b", Body: "later"}}}, "", ErrMalformed},
		"nowhere":                 {[][]file{below, {hardlink("srv/link", "srv/gone")}}, "", ErrMalformed},
		"the host's":              {[][]file{below, {hardlink("srv/link", "/etc/passwd")}}, "", ErrMalformed},
		"removed between":         {[][]file{below, {{Name: "srv/.wh.a"}}, {hardlink("srv/link", "srv/a")}}, "", ErrMalformed},
		"folder removed between":  {[][]file{below, {{Name: ".wh.srv"}}, {hardlink("srv/link", "srv/a")}}, "", ErrMalformed},
		"opaque between":          {[][]file{below, {{Name: "srv/.wh..wh..opq"}}, {hardlink("srv/link", "srv/a")}}, "", ErrMalformed},
		"hidden by its own layer": {[][]file{below, {{Name: "srv/"}, {Name: "srv/.wh..wh..opq"}, hardlink("link", "srv/a"), hardlink("srv/link", "srv/a")}}, "", ErrMalformed},
		"its folder was a link":   {[][]file{below, {{Name: "srv/"}, {Name: "l", Type: tar.TypeSymlink, Link: "srv"}, hardlink("l/link", "srv/a"), {Name: "l/"}}}, "", ErrMalformed},
		"a folder":                {[][]file{below, {{Name: "srv/d/"}}, {hardlink("srv/link", "srv/d")}}, "", ErrMalformed},
		"behind a link below":     {[][]file{below, {{Name: "l", Type: tar.TypeSymlink, Link: "srv"}}, {hardlink("srv/link", "l/a")}}, "", ErrMalformed},
		"out by a link below":     {[][]file{below, {{Name: "l", Type: tar.TypeSymlink, Link: "/etc"}}, {hardlink("srv/link", "l/passwd")}}, "", ErrMalformed},
		"its folder is a link":    {[][]file{below, {{Name: "srv/"}, {Name: "l", Type: tar.TypeSymlink, Link: "srv"}, hardlink("l/link", "srv/a")}}, "", ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			host := imagetest.NewRegistry(t)
			var layers [][]byte
			for _, l := range test.layers {
				layers = append(layers, imagetest.Tar(t, l...))
			}
			imagetest.Push(t, host+"/app:1", imagetest.Config{}, layers...)
			img, err := testStore(t).Pull(t.Context(), host+"/app:1", PullOptions{})
			if test.kind != nil {
				wantKind(t, err, test.kind)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, _ := inLayers(t, img, "srv/link")
			if got != test.want {
				t.Errorf("srv/link contains %q, want %q", got, test.want)
			}
		})
	}
}

// inLayers returns the content and metadata of a file in the uppermost layer that has it.
func inLayers(t *testing.T, img *Image, name string) (string, fs.FileInfo) {
	t.Helper()
	for _, l := range slices.Backward(img.Layers) {
		info, err := os.Lstat(filepath.Join(l.Path, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(filepath.Join(l.Path, name))
			if err != nil {
				t.Fatal(err)
			}
			return inLayers(t, img, filepath.Join(filepath.Dir(name), to))
		}
		b, err := os.ReadFile(filepath.Join(l.Path, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b), info
	}
	t.Fatalf("no layer has %s", name)
	return "", nil
}

// TestLinksBelowKeepWhatTheyAre checks that a link keeps the owner and mode of its file, of the folders above it and of the root, that
// the layer of links belongs to one stack of layers, and that it is removed with its last image.
func TestLinksBelowKeepWhatTheyAre(t *testing.T) {
	host := imagetest.NewRegistry(t)
	base := func(content string) []byte {
		return imagetest.Tar(t, file{Name: "./", UID: 3, Mode: 0o711}, file{Name: "srv/", UID: 7, Mode: 0o750}, file{Name: "srv/a", Body: content, UID: 1000, GID: 1001, Mode: 0o640})
	}
	top := imagetest.Tar(t, file{Name: "./", UID: 5, Mode: 0o755}, hardlink("srv/link", "srv/a"))
	store := testStore(t)
	for _, content := range []string{"one", "two"} {
		imagetest.Push(t, host+"/app:"+content, imagetest.Config{}, base(content), top)
		img := mustPull(t, store, host+"/app:"+content)
		got, info := inLayers(t, img, "srv/link")
		st := info.Sys().(*syscall.Stat_t)
		if got != content || st.Uid != 1000 || st.Gid != 1001 || st.Mode&0o7777 != 0o640 {
			t.Errorf("%s: the link contains %q and has %d:%d %o, want 1000:1001 640", content, got, st.Uid, st.Gid, st.Mode)
		}
		if got := fmt.Sprint(img.Folders); got != "[{/srv 7 0 488}]" {
			t.Errorf("%s: got the folders %s", content, got)
		}
		if _, err := os.Lstat(filepath.Join(img.Layers[1].Path, "srv/link")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the layer with the link still has a placeholder: %v", content, err)
		}
		info, err := os.Stat(img.Layers[len(img.Layers)-1].Path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 5 || st.Mode&0o7777 != 0o755 {
			t.Errorf("%s: the root has owner %d and mode %o, want 5 and 755", content, st.Uid, st.Mode)
		}
		if _, err := store.Prune(t.Context(), PruneOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Lookup(host + "/app:" + content); err != nil {
			t.Errorf("%s: after a prune: %v", content, err)
		}
	}
	done, err := store.Prune(t.Context(), PruneOptions{All: true})
	if err != nil || done.Layers != 5 { // two below, one above, two of links
		t.Errorf("pruned %d layers, %v; want 5", done.Layers, err)
	}
}

func TestTooManyLinksBelow(t *testing.T) {
	var links []file
	for i := range maxLinksBelow + 1 {
		links = append(links, hardlink(fmt.Sprint("l", i), "a"))
	}
	t.Run("in a layer", func(t *testing.T) {
		host := imagetest.NewRegistry(t)
		imagetest.Push(t, host+"/app:1", imagetest.Config{}, imagetest.Tar(t, file{Name: "a", Body: "x"}), imagetest.Tar(t, links...))
		_, err := testStore(t).Pull(t.Context(), host+"/app:1", PullOptions{})
		wantKind(t, err, ErrBudget)
	})
	t.Run("in an image", func(t *testing.T) {
		host := imagetest.NewRegistry(t)
		imagetest.Push(t, host+"/app:1", imagetest.Config{}, imagetest.Tar(t, file{Name: "a", Body: "x"}), imagetest.Tar(t, links[:maxLinksBelow/2+1]...), imagetest.Tar(t, links[maxLinksBelow/2-1:maxLinksBelow]...))
		_, err := testStore(t).Pull(t.Context(), host+"/app:1", PullOptions{})
		wantKind(t, err, ErrBudget)
	})
	t.Run("long names", func(t *testing.T) {
		var long []file
		for i := range maxLinkBytes/2000 + 1 {
			long = append(long, hardlink(fmt.Sprint("l", i), strings.Repeat("ten-bytes/", 200)+"a"))
		}
		host := imagetest.NewRegistry(t)
		imagetest.Push(t, host+"/app:1", imagetest.Config{}, imagetest.Tar(t, long...))
		_, err := testStore(t).Pull(t.Context(), host+"/app:1", PullOptions{})
		wantKind(t, err, ErrBudget)
	})
	t.Run("too many layers", func(t *testing.T) {
		host := imagetest.NewRegistry(t)
		layers := [][]byte{imagetest.Tar(t, file{Name: "a", Body: "x"})}
		for i := range 64 {
			layers = append(layers, imagetest.Tar(t, hardlink(fmt.Sprint("l", i), "a")))
		}
		imagetest.Push(t, host+"/app:1", imagetest.Config{}, layers...)
		_, err := testStore(t).Pull(t.Context(), host+"/app:1", PullOptions{})
		wantKind(t, err, ErrBudget)
	})
}
