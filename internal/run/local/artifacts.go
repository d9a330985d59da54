package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
)

// makingDir returns the folder with the artifacts that a run makes, each as NAME.tar, until the run has ended. It is inside
// the store, and therefore on the same file system.
func makingDir(store content.Store, id string) string {
	return filepath.Join(string(store), "making-"+id)
}

// storeArtifacts moves the artifacts of a succeeded run into the store, and returns their digests by name.
func storeArtifacts(ctx context.Context, store content.Store, id string, list []run.Artifact) (map[string]string, error) {
	var kept map[string]string
	for _, artifact := range list {
		if !artifact.Made {
			continue
		}
		digest, err := store.Take(ctx, filepath.Join(makingDir(store, id), artifact.Name+".tar"))
		if err != nil {
			return nil, fmt.Errorf("artifact %s: %w", artifact.Name, err)
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[artifact.Name] = digest
	}
	return kept, nil
}

// dropArtifacts removes artifacts of a run that aren't in the store.
func dropArtifacts(store content.Store, id string) error {
	return os.RemoveAll(makingDir(store, id))
}
