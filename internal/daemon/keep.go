package daemon

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/archive/s3"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// keeping are the flags of what a server keeps, where and for how long.
type keeping struct {
	archive            string
	after              age
	keepRuns, keepLogs age
	keepAudit          age
	keepSize           size
}

func (k *keeping) add(fl *pflag.FlagSet) {
	k.after = age(time.Hour)
	fl.StringVar(&k.archive, "archive", "", "`DIR|URL` for contents of tools and logs of ended runs, instead of the folder of --data: a folder,\n"+
		"or s3://BUCKET/PREFIX?endpoint=URL&region=REGION with the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	fl.Var(&k.after, "archive-after", "how long after its end the log of a run is moved to the archive")
	fl.Var(&k.keepRuns, "keep-runs", "how long after their end runs are kept, such as 90d; all by default")
	fl.Var(&k.keepLogs, "keep-logs", "how long after their end the logs of runs are kept, such as 30d; as long as the runs by default")
	fl.Var(&k.keepAudit, "keep-audit", "how long entries of the audit log are kept, such as 400d; all by default")
	fl.Var(&k.keepSize, "keep-size", "how much the logs of ended runs may take together, compressed, such as 100Gi: the oldest are removed first")
}

// policy is what the flags say.
func (k *keeping) policy() server.Keep {
	after := time.Duration(k.after)
	if after == 0 {
		after = -1 // at once
	}
	return server.Keep{ArchiveAfter: after, Runs: time.Duration(k.keepRuns), Logs: time.Duration(k.keepLogs), Bytes: int64(k.keepSize), Audit: time.Duration(k.keepAudit)}
}

// age is a flag for a duration, also in days.
type age time.Duration

// maxAge is about a hundred years.
const maxAge = 36500 * 24 * time.Hour

func (a *age) Type() string { return "duration" }

func (a *age) String() string {
	d := time.Duration(*a)
	if days := d / (24 * time.Hour); d > 0 && d == days*24*time.Hour {
		return fmt.Sprintf("%dd", days)
	}
	if d == 0 {
		return ""
	}
	return shape.FormatDuration(d)
}

func (a *age) Set(text string) error {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || time.Duration(n)*24*time.Hour > maxAge {
			return fmt.Errorf("%q is not a number of days up to 36500; write it as 30d", text)
		}
		*a = age(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	v, err := shape.Decode(shape.Duration(0, maxAge), shape.Plain(text), "it")
	if err != nil {
		return fmt.Errorf("%w; for days write 30d", err)
	}
	*a = age(v)
	return nil
}

// size is a flag for a number of bytes.
type size int64

func (s *size) Type() string { return "size" }

func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return shape.FormatSize(int64(*s))
}

func (s *size) Set(text string) error {
	v, err := shape.Decode(shape.Size(1<<20, 1<<60), shape.Plain(text), "it")
	*s = size(v)
	return err
}

// openArchive returns what --archive names.
func (f *serverFlags) openArchive(ctx context.Context) (archive.Storage, error) {
	switch {
	case f.archive == "":
		return archive.Dir(f.data), nil
	case !strings.Contains(f.archive, "://"):
		info, err := os.Stat(f.archive)
		if err != nil {
			return nil, fmt.Errorf("--archive: %w; mount or make the folder first", err)
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("--archive: %s is not a folder", f.archive)
		}
		return archive.Dir(f.archive), nil
	case !strings.HasPrefix(f.archive, "s3://"):
		scheme, _, _ := strings.Cut(f.archive, "://")
		return nil, fmt.Errorf("--archive has %s://; give a folder, or s3://BUCKET/PREFIX?endpoint=URL&region=REGION", scheme)
	}
	b, err := s3.Open(f.archive, s3.Options{})
	if err != nil {
		return nil, fmt.Errorf("--archive: %w", err)
	}
	return b, b.Check(ctx)
}
