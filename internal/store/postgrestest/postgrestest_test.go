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

// processes returns the processes whose command line or current folder has a text.
func processes(t *testing.T, text string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		command, _ := os.ReadFile(filepath.Join(p, "cmdline")) // it may have ended
		folder, _ := os.Readlink(filepath.Join(p, "cwd"))
		if strings.Contains(string(command)+folder, text) {
			found = append(found, strings.ReplaceAll(string(command), "\x00", " ")+"in "+folder)
		}
	}
	return found
}

// shared returns the segments of shared memory.
func shared(t *testing.T) string {
	t.Helper()
	posix, err := filepath.Glob("/dev/shm/PostgreSQL.*")
	if err != nil {
		t.Fatal(err)
	}
	// The columns after the first five change while a segment is used.
	var all strings.Builder
	sysv, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(sysv)) {
		fmt.Fprintln(&all, strings.Fields(line)[:5])
	}
	return fmt.Sprint(posix, all.String())
}

// TestNothingIsLeft ends a server with its test, and by a kill of the test's process.
func TestNothingIsLeft(t *testing.T) {
	before := shared(t)
	var dir string
	t.Run("test", func(t *testing.T) {
		s := Start(t)
		dir = s.dir
		s.Restart(t) // the server that ends isn't the one that was started
		if len(processes(t, dir)) == 0 {
			t.Error("no process of the server is found, so the check below proves nothing")
		}
		if shared(t) == before {
			t.Error("the server has no shared memory, so the check below proves nothing")
		}
	})
	check := func() (problems []string) {
		for _, p := range processes(t, dir) {
			problems = append(problems, "a process is left: "+p)
		}
		if _, err := os.Lstat(dir); err == nil {
			problems = append(problems, dir+" is left")
		}
		if after := shared(t); after != before {
			problems = append(problems, fmt.Sprintf("shared memory %s, before %s", after, before))
		}
		return problems
	}
	for _, p := range check() {
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
		_ = c.Process.Kill()
		_ = c.Wait()
		if err != nil || strings.HasPrefix(line, "FAIL") {
			t.Fatalf("%q, %v", line, err)
		}
		dir = strings.TrimSpace(line)
		for end := time.Now().Add(2 * time.Minute); len(check()) > 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(check())
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
