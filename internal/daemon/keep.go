package daemon

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/archive/s3"
)

// keeping are the flags of what a server keeps, where and for how long.
type keeping struct {
	archive string
}

func (k *keeping) add(fl *pflag.FlagSet) {
	fl.StringVar(&k.archive, "archive", "", "`DIR|URL` for contents of tools and logs of ended runs, instead of the folder of --data: a folder,\nor s3://BUCKET/PREFIX?endpoint=URL&region=REGION with credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
}

// openArchive returns what --archive names.
func (f *serverFlags) openArchive(ctx context.Context) (archive.Storage, error) {
	switch {
	case f.archive == "":
		return archive.Dir(f.data), nil
	case !strings.Contains(f.archive, "://"):
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
