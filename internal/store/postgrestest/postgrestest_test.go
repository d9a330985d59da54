//go:build linux

package postgrestest

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// abandoned is the variable that has the test binary start a server and wait for its death.
const abandoned = "MAYFLY_TEST_ABANDONED"

func TestMain(m *testing.M) {
	if os.Getenv(abandoned) != "" {
		s, _, err := start()
		if err != nil {
			fmt.Println("FAIL", err)
			os.Exit(1)
		}
		fmt.Println(s.dir)
		select {}
	}
	os.Exit(m.Run())
}

// processes returns the processes whose command line or current folder has a text: their folders in /proc, and what they are.
func processes(t *testing.T, text string) map[string]string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, p := range all {
		command, _ := os.ReadFile(filepath.Join(p, "cmdline")) // it may have ended
		folder, _ := os.Readlink(filepath.Join(p, "cwd"))
		if strings.Contains(string(command)+folder, text) {
			found[p] = strings.ReplaceAll(string(command), "\x00", " ") + "in " + folder
		}
	}
	return found
}

// resources are what a running server has outside its processes.
type resources struct {
	dir   string
	posix map[string]bool // files of shared memory
	sysv  map[string]bool // ids of System V's shared memory
}

// resourcesOf finds what the server in a folder has.
func resourcesOf(t *testing.T, dir string) resources {
	t.Helper()
	r := resources{dir, map[string]bool{}, map[string]bool{}}
	for p := range processes(t, dir) {
		maps, _ := os.ReadFile(filepath.Join(p, "maps")) // it may have ended
		for line := range strings.Lines(string(maps)) {
			f := strings.Fields(line) // address, permissions, offset, device, inode, path
			switch {
			case len(f) > 5 && strings.HasPrefix(f[5], "/dev/shm/"):
				r.posix[f[5]] = true
			case len(f) > 5 && strings.HasPrefix(f[5], "/SYSV"):
				r.sysv[f[4]] = true // the inode is the id
			}
		}
	}
	if len(r.posix) == 0 || len(r.sysv) == 0 {
		t.Errorf("the server in %s has %+v, so that nothing of it is left proves nothing", dir, r)
	}
	return r
}

// left returns what is still there.
func (r resources) left(t *testing.T) (problems []string) {
	t.Helper()
	for _, p := range processes(t, r.dir) {
		problems = append(problems, "a process is left: "+p)
	}
	if _, err := os.Lstat(r.dir); err == nil {
		problems = append(problems, r.dir+" is left")
	}
	for file := range r.posix {
		if _, err := os.Lstat(file); err == nil {
			problems = append(problems, file+" is left")
		}
	}
	segments, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(segments)) {
		if id := strings.Fields(line)[1]; r.sysv[id] {
			problems = append(problems, "the segment of shared memory "+id+" is left")
		}
	}
	return problems
}

// TestNothingIsLeft ends a server with its test, and by a kill of the test's process.
func TestNothingIsLeft(t *testing.T) {
	var had resources
	t.Run("test", func(t *testing.T) {
		s := Start(t)
		s.Restart(t) // the server that ends isn't the one that was started
		had = resourcesOf(t, s.dir)
	})
	for _, p := range had.left(t) {
		t.Error(p)
	}
	t.Run("kill", func(t *testing.T) {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), abandoned+"=1")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "FAIL") {
			had = resourcesOf(t, strings.TrimSpace(line))
		}
		_ = c.Process.Kill()
		_ = c.Wait()
		if err != nil || strings.HasPrefix(line, "FAIL") {
			t.Fatalf("%q, %v", line, err)
		}
		for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			left := had.left(t)
			if len(left) == 0 {
				return
			}
			if time.Now().After(end) {
				t.Fatal(left)
			}
		}
	})
}

// TestDatabase checks what the tests of stores rely on: databases are empty and apart, and keep what is committed.
func TestDatabase(t *testing.T) {
	s := Start(t)
	var all []*sql.DB
	for range 2 {
		db, err := sql.Open("pgx", s.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (x TEXT)"); err != nil {
			t.Fatal(err)
		}
		all = append(all, db)
	}
	if _, err := all[0].ExecContext(t.Context(), "INSERT INTO t VALUES ('a'), ('B')"); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	var fsync, commit, first string
	db, err := sql.Open("pgx", s.address("test1"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	row := db.QueryRowContext(t.Context(), "SELECT current_setting('fsync'), current_setting('synchronous_commit'), min(x) FROM t")
	if err := row.Scan(&fsync, &commit, &first); err != nil {
		t.Fatal(err)
	}
	if fsync != "on" || commit != "on" || first != "a" {
		t.Errorf("fsync is %s, synchronous_commit %s, the first of a and B %s, want on, on, and a", fsync, commit, first)
	}
}

// TestPrograms checks that the newest version is taken, and what a machine without one is told.
func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	if _, err := programs(dir); err == nil || !strings.Contains(err.Error(), "install Debian's package postgresql: make setup") {
		t.Errorf("without PostgreSQL: %v", err)
	}
	for _, v := range []string{"9.6", "15", "101", "17"} {
		bin := filepath.Join(dir, v, "bin")
		if err := os.MkdirAll(bin, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, "postgres"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := programs(dir); err != nil || got != filepath.Join(dir, "101", "bin") {
		t.Errorf("the programs are in %q, %v, want those of version 101", got, err)
	}
}
