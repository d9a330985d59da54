//go:build linux

// Package postgrestest starts a real PostgreSQL for tests, from Debian's package, with the settings of a default installation.
package postgrestest

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
)

// Server is a running PostgreSQL. It has a folder of its own, which also has its socket; it listens at no port.
type Server struct {
	dir, bin  string
	as        *syscall.SysProcAttr
	databases atomic.Int64
}

// leash starts a server in the folder $2 with the programs of $1, and says "ready". It ends the server and removes the folder
// when its standard input ends, which it does however the test ends. pg_ctl is the parent of no server, so a server that was
// restarted meanwhile ends too.
//
// The databases sort by the rules of a language, as those of a default installation: a statement that needs the order of bytes
// must say so.
const leash = `set -u
trap '"$1/pg_ctl" stop -D "$2/data" -s -m immediate; rm -rf "$2"' EXIT
trap '' HUP INT TERM
cd "$2" &&
"$1/initdb" -D "$2/data" -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US >/dev/null &&
echo "unix_socket_directories = '$2'" >>data/postgresql.conf &&
echo "listen_addresses = ''" >>data/postgresql.conf &&
"$1/pg_ctl" start -D "$2/data" -s -w -l log </dev/null &&
echo ready &&
cat >/dev/null
`

// Start starts a server, which ends with the test. A machine that has no PostgreSQL fails the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s, end, err := start()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, err := os.ReadFile(filepath.Join(s.dir, "log"))
			t.Logf("the log of PostgreSQL (%v):\n%s", err, log[max(0, len(log)-10_000):])
		}
		if err := end(); err != nil {
			t.Errorf("end PostgreSQL: %v", err)
		}
	})
	return s
}

// Serve starts a server for a program that isn't a test. It returns the address of its database, and a function that ends the server.
func Serve() (address string, end func() error, err error) {
	s, end, err := start()
	if err != nil {
		return "", nil, err
	}
	return s.address("postgres"), end, nil
}

func start() (_ *Server, end func() error, err error) {
	s := &Server{}
	if s.bin, err = programs("/usr/lib/postgresql"); err != nil {
		return nil, nil, err
	}
	if s.dir, err = os.MkdirTemp("", "mayfly-postgres-"); err != nil {
		return nil, nil, err
	}
	fail := func(err error) (*Server, func() error, error) { return nil, nil, errors.Join(err, os.RemoveAll(s.dir)) }
	// An interrupt from the terminal is for the test, which ends the server.
	s.as = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		if s.as.Credential, err = unprivileged(); err != nil {
			return fail(err)
		}
		if err := os.Chown(s.dir, int(s.as.Credential.Uid), int(s.as.Credential.Gid)); err != nil {
			return fail(err)
		}
	}
	c := s.command("/bin/sh", "-c", leash, "leash", s.bin, s.dir)
	var said strings.Builder
	c.Stderr = &said
	hold, err := c.StdinPipe()
	if err != nil {
		return fail(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := c.Start(); err != nil {
		return fail(err)
	}
	end = func() error {
		err := errors.Join(hold.Close(), c.Wait())
		if _, left := os.Lstat(s.dir); left == nil {
			err = errors.Join(err, fmt.Errorf("the folder %s is left", s.dir))
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, said.String())
		}
		return nil
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log")) // it may not have come that far
		return nil, nil, fmt.Errorf("it isn't ready: %w\n%s", errors.Join(err, end()), log)
	}
	return s, end, nil
}

// programs returns the folder of the newest PostgreSQL's programs below a folder, which has one folder for each version.
func programs(below string) (string, error) {
	found, err := filepath.Glob(below + "/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("there is no %s/*/bin/postgres; install Debian's package postgresql: make setup", below)
	}
	version := func(program string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(program)))) // 0 for what isn't a version
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// unprivileged returns the user that the package has made for servers.
func unprivileged() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w; install Debian's package postgresql: make setup", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// command returns a command of the server's user, with no variable that changes what PostgreSQL does.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir, c.SysProcAttr = "/", s.as
	c.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=" + s.dir}
	return c
}

// address returns the address of a database.
func (s *Server) address(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {s.dir}, "user": {"postgres"}}.Encode()
}

// Database makes a database, and returns its address.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	db, err := sql.Open("pgx", s.address("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(context.Background(), "CREATE DATABASE "+name) // also for a test that has ended its context
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	return s.address(name)
}

// Restart kills all processes of the server at once, as a crash does, and starts it again. It may have been stopped.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.control(t, "restart", "-l", filepath.Join(s.dir, "log"))
}

// Stop kills all processes of the server at once.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.control(t, "stop")
}

func (s *Server) control(t testing.TB, do string, flags ...string) {
	t.Helper()
	args := append([]string{do, "-s", "-w", "-m", "immediate", "-D", filepath.Join(s.dir, "data")}, flags...)
	c := s.command(filepath.Join(s.bin, "pg_ctl"), args...)
	// The new server would keep a pipe open.
	said, err := os.CreateTemp(t.TempDir(), "pg_ctl")
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	c.Stdout, c.Stderr = said, said
	if err := c.Run(); err != nil {
		_, _ = said.Seek(0, io.SeekStart)
		text, _ := io.ReadAll(said)
		t.Fatalf("%s PostgreSQL: %v: %s", do, err, text)
	}
}
