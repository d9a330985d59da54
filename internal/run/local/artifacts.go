package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
)

// making is the folder of the artifacts that a run makes, NAME.tar each, until it has ended. It is in the store, and so on its
// file system.
func makingDir(store content.Store, id string) string {
	return filepath.Join(string(store), "making-"+id)
}

// keep takes what a succeeded run made into the store, and returns the digests by name.
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

// drop removes what a run made and isn't kept.
func dropArtifacts(store content.Store, id string) error {
	return os.RemoveAll(makingDir(store, id))
}
