package image

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestFolders checks that an implied folder has the owner and mode that the
// nearest layer below gives it, unless a layer between hides that layer's.
func TestFolders(t *testing.T) {
	app := file{Name: "srv/app/", UID: 1000, GID: 1001, Mode: 0o700}
	file1 := file{Name: "srv/app/new", Body: "x"}
	for name, test := range map[string]struct {
		layers [][]file
		want   string
	}{
		"implied":           {[][]file{{app}, {file1}}, "/srv/app 1000:1001 700"},
		"its parent, too":   {[][]file{{{Name: "srv/", UID: 7, Mode: 0o1777}, app}, {file1}}, "/srv 7:0 1777, /srv/app 1000:1001 700"},
		"listed":            {[][]file{{app}, {{Name: "srv/app/", UID: 5, Mode: 0o755}, file1}}, ""},
		"listed later":      {[][]file{{app}, {file1, {Name: "srv/app/", UID: 5, Mode: 0o755}}}, ""},
		"by two":            {[][]file{{app}, {file1}, {{Name: "srv/app/other"}}}, "/srv/app 1000:1001 700"},
		"listed above":      {[][]file{{app}, {file1}, {{Name: "srv/app/", UID: 5, Mode: 0o755}}}, ""},
		"the nearest":       {[][]file{{app}, {{Name: "srv/app/", UID: 5, Mode: 0o750}}, {file1}}, "/srv/app 5:0 750"},
		"nobody lists it":   {[][]file{{file1}, {{Name: "srv/app/other"}}}, ""},
		"removed between":   {[][]file{{app}, {{Name: "srv/.wh.app"}}, {file1}}, ""},
		"parent removed":    {[][]file{{app}, {{Name: ".wh.srv"}}, {file1}}, ""},
		"a file between":    {[][]file{{app}, {{Name: "srv/app", Body: "x"}}, {file1}}, ""},
		"opaque between":    {[][]file{{app}, {{Name: "srv/.wh..wh..opq"}}, {file1}}, ""},
		"opaque itself":     {[][]file{{app}, {{Name: "srv/app/.wh..wh..opq"}, file1}}, ""},
		"a link between":    {[][]file{{app}, {{Name: "srv", Link: "../../..", Type: '2'}}, {file1}}, ""},
		"replaced in a tar": {[][]file{{app}, {file1, {Name: "srv/app", Body: "now a file"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			host := imagetest.NewRegistry(t)
			var layers [][]byte
			for _, l := range test.layers {
				layers = append(layers, imagetest.Tar(t, l...))
			}
			imagetest.Push(t, host+"/app:1", imagetest.Config{}, layers...)
			var got []string
			for _, f := range mustPull(t, testStore(t), host+"/app:1").Folders {
				got = append(got, fmt.Sprintf("%s %d:%d %o", f.Path, f.UID, f.GID, f.Mode))
			}
			if slices.Sort(got); strings.Join(got, ", ") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestFoldersIgnoreTheUmask checks that the tool's user can enter a folder that no layer lists, whatever the umask of the pull is.
func TestFoldersIgnoreTheUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	dir, _, err := unpack(t, testStore(t), imagetest.Tar(t, file{Name: "opt/app/f", Body: "x"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"opt", "opt/app"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: got %v, %v; want 0755", name, info.Mode(), err)
		}
	}
}

// TestTooManyFolders checks that an image with too many implied folders is refused, in one layer or in all together.
func TestTooManyFolders(t *testing.T) {
	host := imagetest.NewRegistry(t)
	layer := func(name string, n int) []byte {
		var files []file
		for i := range n {
			files = append(files, file{Name: fmt.Sprintf("%s%d/f", name, i)})
		}
		return imagetest.Tar(t, files...)
	}
	for name, layers := range map[string][][]byte{
		"one": {layer("d", maxImplied+1)},
		"two": {layer("d", maxImplied/2+1), layer("e", maxImplied/2+1)},
	} {
		imagetest.Push(t, host+"/"+name+":1", imagetest.Config{}, layers...)
		_, err := testStore(t).Pull(t.Context(), host+"/"+name+":1", PullOptions{})
		wantKind(t, err, ErrBudget)
	}
}
