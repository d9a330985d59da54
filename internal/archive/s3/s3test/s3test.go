//go:build linux

// Package s3test starts a real S3-compatible server for tests: versitygw, which make builds at the version of tools/s3/go.mod.
package s3test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// These are the credentials of the server.
const (
	AccessKey = "mayfly-test"
	SecretKey = "mayfly-test-secret"
)

// Server is a running server.
type Server struct {
	Endpoint string // http://127.0.0.1:PORT
	Dir      string // each object is the file BUCKET/KEY below it
	buckets  atomic.Int64
}

// leash runs the program of the further parameters, and ends it and removes the folder $1 when its standard input ends, which it
// does however the test ends.
const leash = `dir=$1; shift
"$@" </dev/null >"$dir/log" 2>&1 &
trap 'kill -9 $!; wait; rm -rf "$dir"' EXIT
trap '' HUP INT TERM
cat >/dev/null
`

// patience is how long the server has until it answers.
const patience = time.Minute

// Start starts a server, which ends with the test, and sets the variables by which clients know the credentials. A checkout
// in which the server was not built fails the test.
func Start(t *testing.T) *Server {
	t.Helper()
	program, err := find()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	for range 5 { // another process may have taken the port
		var s *Server
		if s, err = start(t, program); err == nil {
			return s
		}
	}
	t.Fatalf("start versitygw: %v", err)
	return nil
}

// find returns the program in this checkout.
func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	program := filepath.Join(dir, ".build", "tools", "versitygw")
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("the server for S3 is missing: %w; run: make test-tools", err)
	}
	return program, nil
}

func start(t *testing.T, program string) (*Server, error) {
	dir, err := os.MkdirTemp("", "mayfly-s3-")
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: filepath.Join(dir, "data")}
	for _, d := range []string{s.Dir, filepath.Join(dir, "meta")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, err
		}
	}
	address, err := freePort(t.Context())
	if err != nil {
		return nil, err
	}
	s.Endpoint = "http://" + address
	c := exec.Command("/bin/sh", "-c", leash, "leash", dir, program, "--port", address, "--quiet", "--access", AccessKey, "--secret", SecretKey,
		"posix", "--sidecar", filepath.Join(dir, "meta"), s.Dir)
	c.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the terminal is for the test
	hold, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	end := func() error {
		err := errors.Join(hold.Close(), ignoreExit(c.Wait()))
		if _, left := os.Lstat(dir); left == nil {
			err = errors.Join(err, fmt.Errorf("the folder %s is left", dir))
		}
		return err
	}
	if err := answers(t.Context(), address); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log")) // it may not have come that far
		return nil, fmt.Errorf("%w: %s", errors.Join(err, end()), log)
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("end versitygw: %v", err)
		}
	})
	return s, nil
}

// ignoreExit is err without the exit status of the shell, which is that of its trap.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

func freePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// answers waits until a server answers in HTTP.
func answers(ctx context.Context, address string) (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var d net.Dialer
		var conn net.Conn
		if conn, err = d.DialContext(ctx, "tcp", address); err != nil {
			continue
		}
		_, err = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
		head := make([]byte, 5)
		if err == nil {
			_, err = io.ReadFull(conn, head)
		}
		if err = errors.Join(err, conn.Close()); err == nil && string(head) == "HTTP/" {
			return nil
		}
	}
	return fmt.Errorf("it doesn't answer at %s: %w", address, err)
}

// Bucket makes a bucket, and returns its address for the given prefix.
func (s *Server) Bucket(t *testing.T, prefix string) string {
	t.Helper()
	name := fmt.Sprintf("bucket%d", s.buckets.Add(1))
	if err := os.Mkdir(filepath.Join(s.Dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
	return s.Address(name, prefix)
}

// Address returns the address of a bucket.
func (s *Server) Address(bucket, prefix string) string {
	return "s3://" + bucket + "/" + strings.TrimPrefix(prefix, "/") + "?" + url.Values{"endpoint": {s.Endpoint}, "region": {"us-east-1"}}.Encode()
}
