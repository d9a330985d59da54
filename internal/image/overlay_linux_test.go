package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestLayersMountAsOverlay mounts three layers with whiteouts, and checks that the kernel shows the files of the image. I21: writing to
// the mount doesn't change the layers.
func TestLayersMountAsOverlay(t *testing.T) {
	if os.Getenv("MAYFLY_TEST_OVERLAY") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLayersMountAsOverlay$", "-test.v")
		cmd.Env = append(os.Environ(), "MAYFLY_TEST_OVERLAY=1")
		cmd.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "mounted and compared") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	host := imagetest.NewRegistry(t)
	imagetest.Push(t, host+"/app:1", imagetest.Config{},
		imagetest.Tar(t, file{Name: "gone", Body: "1"}, file{Name: "kept", Body: "1"}, file{Name: "d/old", Body: "1"}, file{Name: "m/low", Body: "1"}, file{Name: "f/x", Body: "1"}, file{Name: "lnk/y", Body: "1"}),
		imagetest.Tar(t, file{Name: ".wh.gone"}, file{Name: "d/"}, file{Name: "d/.wh..wh..opq"}, file{Name: "d/new", Body: "2"}, file{Name: "m/mid", Body: "2"}, file{Name: "f", Body: "now a file"}, file{Name: ".wh.lnk"}),
		imagetest.Tar(t, file{Name: "m/.wh.low"}, file{Name: "m/top", Body: "3"}, file{Name: "lnk/"}, file{Name: "lnk/z", Body: "3"}),
	)
	img := mustPull(t, testStore(t), host+"/app:1")
	work := t.TempDir()
	if err := unix.Mount("tmpfs", work, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"u", "w", "m"} {
		if err := os.Mkdir(filepath.Join(work, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var lower, before []string
	for _, l := range slices.Backward(img.Layers) {
		lower = append(lower, l.Path)
		before = append(before, imagetest.HashTree(t, l.Path))
	}
	root := filepath.Join(work, "m")
	opts := fmt.Sprintf("lowerdir=%s,upperdir=%s/u,workdir=%s/w", strings.Join(lower, ":"), work, work)
	if err := unix.Mount("overlay", root, "overlay", 0, opts); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, readErr := os.ReadFile(p)
			got, err = append(got, strings.TrimPrefix(p, root+"/")+"="+string(b)), readErr
		}
		return err
	})
	if want := "d/new=2 f=now a file kept=1 lnk/z=3 m/mid=2 m/top=3"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("the mount shows %q, %v; want %s", got, err, want)
	}
	for _, name := range []string{"kept", "d/new", "created"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("written by a run"), 0o600); err != nil {
			t.Error(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(root, "m")); err != nil {
		t.Error(err)
	}
	for _, at := range []string{root, work} {
		if err := unix.Unmount(at, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, dir := range lower {
		if imagetest.HashTree(t, dir) != before[i] {
			t.Errorf("layer %s has changed", dir)
		}
	}
	t.Log("mounted and compared")
}
