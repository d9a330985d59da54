//go:build linux

package server

import (
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/archive/s3/s3test"
)

// files are the files below a folder.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (s *site) stop() {
	s.t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Wait(); err != nil {
		s.t.Fatalf("the server ends with %v: %s", err, s.log)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s it is still not so that %s", patience, what)
		}
	}
}

// TestArchive has a server keep contents and logs in S3-compatible storage, and remove logs.
func TestArchive(t *testing.T) {
	storage := s3test.Start(t)
	s := newSite(t, "--archive", storage.Bucket(t, "mayfly"), "--archive-after", "0s")
	s.write("long.yaml", "name: long\nimage: busybox\ncommand: [sh, -c, 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done']\n")
	s.must("tool", "push", "long.yaml")
	bucket := filepath.Join(storage.Dir, "bucket1", "mayfly")
	if got := files(t, filepath.Join(bucket, "contents")); len(got) == 0 {
		t.Error("the tool's contents are not in the bucket")
	}
	printed := s.must("run", "long", "--quiet")
	if want := "line 3000\n"; !strings.HasSuffix(printed, want) || strings.Count(printed, "\n") != 3000 {
		t.Fatalf("the run printed %d lines", strings.Count(printed, "\n"))
	}
	id := s.latestRun()
	all, some := s.must("logs", "--json", id), s.must("logs", "--find", "line 299", id)
	eventually(t, "the log is in the bucket", func() bool { return len(files(t, bucket)) > len(files(t, filepath.Join(bucket, "contents"))) })
	for range 2 { // also after the server was started again
		if got := s.must("logs", "--json", id); got != all {
			t.Errorf("the archived log has %d bytes, want the same %d", len(got), len(all))
		}
		if got := s.must("logs", "--find", "line 299", id); got != some || strings.Count(got, "\n") != 11 {
			t.Errorf("found %q, want %q", got, some)
		}
		s.stop()
		s.start()
	}
	s.stop()
	s.flags = append(s.flags, "--keep-logs", "1s")
	s.start()
	eventually(t, "the log is removed", func() bool { return s.run("logs", id).status != 0 })
	for _, args := range [][]string{{"logs", id}, {"logs", "-f", id}, {"logs", "--tail", "3", id}} {
		if got := s.run(args...); got.status != 125 || got.out != "" || !strings.Contains(got.err, "the log of run "+id+" was removed on 20") {
			t.Errorf("%q: status %d, %q, %q", args, got.status, got.out, got.err)
		}
	}
	eventually(t, "the bucket has no log", func() bool { return len(files(t, bucket)) == len(files(t, filepath.Join(bucket, "contents"))) })
	if got := s.run("runs"); !strings.Contains(got.out, id) {
		t.Errorf("the run is gone too: %q", got.out)
	}
}
