//go:build linux

package server

import (
	"archive/tar"
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestServerImage starts the server of the image that make server-image writes, in a sandbox: as no root, with nothing in the image but
// what it needs. TERM ends it with the status 0.
func TestServerImage(t *testing.T) {
	s := &site{t: t, home: t.TempDir(), dir: t.TempDir(), log: &testbed.Output{}}
	archive := filepath.Join(s.dir, "server.tar")
	build := exec.Command("../../release/server-image.sh", testbed.Bin(t), archive)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	imageIs(t, archive)
	s.must("image", "load", archive)
	s.write("server.yaml", `name: server
image: mayfly/server
command: [/usr/bin/mayflyd, server, --data, /tmp/data, --listen, "127.0.0.1:6293"]
`)
	c := s.mayfly("run", "server.yaml", "--grace", "1m")
	c.Stderr = s.log
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "Mayfly's server listens at https://127.0.0.1:6293" {
		t.Errorf("the server says %q; %s", lines.Text(), s.log)
	}
	for lines.Text() != "" && !strings.HasPrefix(lines.Text(), "Log in: ") && lines.Scan() {
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out) // its end
	_ = c.Wait()                    // the status of a run that was cancelled
	if !strings.Contains(s.log.String(), "msg=ending") {
		t.Errorf("the server doesn't end gracefully: %s", s.log)
	}
}

// imageIs checks what engines take from the image: what they run, as which user, and a folder for the data that is this user's.
func imageIs(t *testing.T, archive string) {
	t.Helper()
	img, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{
		Entrypoint: []string{"/usr/bin/mayflyd", "server"}, Cmd: []string{"--data", "/data", "--listen", ":6293"}, User: "65532:65532",
		Env: []string{"PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"}, Volumes: map[string]struct{}{"/data": {}}, Labels: map[string]string{"org.opencontainers.image.title": "mayfly/server"},
	}
	if !reflect.DeepEqual(file.Config, want) {
		t.Errorf("the image has the config %+v, want %+v", file.Config, want)
	}
	files := mutate.Extract(img)
	defer files.Close()
	in := tar.NewReader(files)
	for {
		h, err := in.Next()
		if err != nil {
			t.Fatalf("the image's folder data: %v", err)
		}
		if path.Clean(h.Name) != "data" {
			continue
		}
		if h.Typeflag != tar.TypeDir || h.Uid != 65532 || h.Gid != 65532 || h.Mode != 0o700 {
			t.Errorf("the image's folder data is %+v", h)
		}
		return
	}
}

// TestOrdinaryUser runs a server, without a runner, as a user without any right, and ends it gracefully.
func TestOrdinaryUser(t *testing.T) {
	dir, err := os.MkdirTemp("", "mayfly-server-") // those of t.TempDir are below one of root's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mayflyd", "mayfly-cel"} {
		data, err := os.ReadFile(filepath.Join(testbed.Bin(t), name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o755) //nolint:gosec // another user executes it
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(filepath.Join(dir, "mayflyd"), "server", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
	c.Env = []string{"TMPDIR=" + dir}
	c.Dir = dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var log bytes.Buffer
	c.Stderr = &log
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	started := false
	for !started && lines.Scan() {
		started = strings.HasPrefix(lines.Text(), "Log in: ")
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out) // its end
	if err := c.Wait(); err != nil || !started {
		t.Errorf("it started: %v, and ends with %v: %s", started, err, log.String())
	}
}
