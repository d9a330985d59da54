package image

import (
	"context"
	"fmt"
	"os"

	"github.com/mayfly-run/mayfly/internal/flock"
)

// acquire takes the lock file at path, made if need be, and waits for it until ctx ends. Closing the file frees it. waiting is
// called once if it doesn't come at once.
func acquire(ctx context.Context, path string, kind flock.Kind, waiting func()) (*os.File, error) {
	f, err := flock.Open(ctx, path, os.O_RDWR|os.O_CREATE, kind, waiting)
	switch {
	case err == nil:
		return f, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("wait for lock %s: %w", path, err)
	}
	return nil, fmt.Errorf("open lock: %w", noSpace(err))
}
