//go:build linux

package cli_test

import (
	"archive/tar"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// TestScripts runs the command as people do: each file of testdata/script is a
// session with the built programs, real sandboxes and a real registry. It finds
//
//	$REGISTRY  a registry with the image busybox, and images of the names that the reference's examples have
//	$SLOW      a registry that takes its time with the image slow
//	$LOCKED    a registry that wants a password
//	$OTHER     an archive with the image $CLOSED/other for another processor
//	$CLOSED    an address where nothing listens
//	$IMAGES    the folder of the project's base images (make images)
//	$EXAMPLES  the reference's examples
//	$PROJECT   this project's folder
//	$SERVER    the port of an HTTP server on this machine's loopback
//
// and the image busybox:latest in its store.
func TestScripts(t *testing.T) {
	bin := testbed.Bin(t)
	layer := imagetest.BusyboxLayer(t)
	archive := imagetest.DockerArchive(t, "busybox:latest", imagetest.Config{Cmd: []string{"/bin/sh"}, Env: []string{"PATH=/bin", "FROM_IMAGE=yes"}}, layer)
	registry := imagetest.NewRegistry(t)
	imagetest.PushBusybox(t, registry+"/busybox:latest")
	imagetest.Push(t, registry+"/empty:latest", imagetest.Config{}, imagetest.Tar(t, imagetest.File{Name: "etc/", Type: tar.TypeDir}))
	pushPlaces(t, registry+"/places:latest")
	for archive, as := range map[string]string{"kubectl.tar": "kubiya/kubectl:latest", "shell.tar": "alpine/curl:latest"} {
		if err := imagetest.PushArchive(filepath.Join(images(), archive), registry+"/"+as); err != nil {
			t.Fatalf("%v; build it with images/build.sh", err)
		}
	}
	slow := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			time.Sleep(time.Second) // in which the spinner turns on a busy machine too
		}
		next.ServeHTTP(w, r)
	})
	imagetest.PushBusybox(t, slow.Host+"/slow:latest")
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="locked"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(locked.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("hello from the host\n"))
	}))
	t.Cleanup(server.Close)
	closed := closedAddress(t)
	other := imagetest.ArchiveOf(t, closed+"/other:latest", imagetest.BuildFor(t, v1.Platform{OS: "linux", Architecture: "s390x"}, imagetest.Config{}, layer), layer)

	testscript.Run(t, testscript.Params{
		Dir:             "testdata/script",
		ContinueOnError: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"resumable": resumable,
			"groups":    groups,
		},
		Setup: func(env *testscript.Env) error {
			home, policy := filepath.Join(env.WorkDir, "home"), filepath.Join(env.WorkDir, "policy.yaml")
			if err := os.WriteFile(policy, nil, 0o600); err != nil { // the machine's own is not a part of a session
				return err
			}
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("MAYFLY_HOME", home)
			env.Setenv("MAYFLY_POLICY", policy)
			env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("REGISTRY", registry)
			env.Setenv("SLOW", slow.Host)
			env.Setenv("LOCKED", strings.TrimPrefix(locked.URL, "http://"))
			env.Setenv("CLOSED", closed)
			env.Setenv("OTHER", filepath.Join(env.WorkDir, "other.tar"))
			if err := os.WriteFile(env.Getenv("OTHER"), other, 0o600); err != nil {
				return err
			}
			env.Setenv("IMAGES", images())
			env.Setenv("PROJECT", testbed.Root())
			env.Setenv("EXAMPLES", filepath.Join(testbed.Root(), "internal", "tool", "testdata", "examples"))
			_, port, err := net.SplitHostPort(server.Listener.Addr().String())
			if err != nil {
				return err
			}
			env.Setenv("SERVER", port)
			store, err := image.Open(filepath.Join(home, "images"), image.Options{NoSync: true})
			if err != nil {
				return err
			}
			_, err = store.Load(t.Context(), strings.NewReader(string(archive)))
			return err
		},
	})
}

// pushPlaces makes an image that declares volumes, some of which it has, and has no working directory.
func pushPlaces(t *testing.T, ref string) {
	t.Helper()
	imagetest.Push(t, ref, imagetest.Config{
		Env: []string{"PATH=/bin"}, Entrypoint: []string{"./tool"}, StopSignal: "SIGUSR1",
		Volumes: map[string]struct{}{"/var/db": {}, "/var/db/inner": {}, "/var/shared": {}, "/new/volume": {}},
	}, imagetest.BusyboxLayer(t), imagetest.Tar(
		t,
		imagetest.File{Name: "tool", Body: "#!/bin/sh\necho in $(pwd), $(cat conf)\n", Mode: 0o755},
		imagetest.File{Name: "conf", Body: "with conf"},
		imagetest.File{Name: "var/db/", Type: tar.TypeDir, Mode: 0o700, UID: 999, GID: 999},
		imagetest.File{Name: "var/db/file", Body: "of the image", UID: 999, GID: 999},
		imagetest.File{Name: "var/shared/", Type: tar.TypeDir, Mode: 0o1777},
	), imagetest.Tar(t, imagetest.File{Name: "var/db/more"})) // whose folders are the ones below
}

func images() string { return filepath.Join(testbed.Root(), ".build", "images") }

// closedAddress is an address of this machine where nothing listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// resumable sets a variable to the run that the last command said can be resumed.
func resumable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: resumable VARIABLE")
	}
	m := regexp.MustCompile(`mayfly run --resume ([0-9a-f-]{36})`).FindStringSubmatch(ts.ReadFile("stderr"))
	if m == nil {
		ts.Fatalf("the last command said of no run that it can be resumed")
	}
	ts.Setenv(args[0], m[1])
}

// groups checks that GitHub's groups in a file are whole: one at a time, each closed.
func groups(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: groups FILE")
	}
	open, seen := false, 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		switch begins := strings.HasPrefix(line, "::group::"); {
		case begins && open, strings.HasPrefix(line, "::endgroup::") && !open:
			ts.Fatalf("at %q the groups are not one after the other", line)
		case begins:
			open = true
			seen++
		case strings.HasPrefix(line, "::endgroup::"):
			open = false
		}
	}
	if open || seen == 0 {
		ts.Fatalf("%d groups began, the last is open: %v", seen, open)
	}
}
