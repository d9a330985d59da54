package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Artifacts is a folder that has artifacts by their digest, each a tar file:
//
//	HEX.tar          an artifact; HEX is its SHA-256
//	making-ID/NAME.tar   what the run ID makes, until it has ended
//
// It is made when the first run makes an artifact. Whoever names the folder removes it.
type Artifacts string

const digestPrefix = "sha256:"

// Path returns the file of an artifact, there or not. Its error is that of a digest that isn't one.
func (a Artifacts) Path(digest string) (string, error) {
	text, ok := strings.CutPrefix(digest, digestPrefix)
	if sum, err := hex.DecodeString(text); !ok || err != nil || len(sum) != sha256.Size || text != strings.ToLower(text) {
		return "", fmt.Errorf("%q is not the digest of an artifact", digest)
	}
	return filepath.Join(string(a), text+".tar"), nil
}

// making is the folder of what a run makes.
func (a Artifacts) making(id string) string { return filepath.Join(string(a), "making-"+id) }

// keep takes what a succeeded run made, and returns the digests by name.
func (a Artifacts) keep(ctx context.Context, id string, list []run.Artifact) (map[string]string, error) {
	var kept map[string]string
	for _, artifact := range list {
		if !artifact.Made {
			continue
		}
		file := filepath.Join(a.making(id), artifact.Name+".tar")
		digest, err := digestOf(ctx, file)
		if err != nil {
			return nil, fmt.Errorf("artifact %s: %w", artifact.Name, err)
		}
		place, err := a.Path(digest)
		if err == nil {
			err = os.Rename(file, place)
		}
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
func (a Artifacts) drop(id string) error {
	return os.RemoveAll(a.making(id))
}

// Sweep removes what isn't kept: all but the artifacts of these digests. No run may be making any.
func (a Artifacts) Sweep(digests map[string]bool) error {
	entries, err := os.ReadDir(string(a))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if name, isTar := strings.CutSuffix(e.Name(), ".tar"); !isTar || !digests[digestPrefix+name] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(string(a), e.Name())))
		}
	}
	return err
}

// untilDone reads until a context is done.
type untilDone struct {
	ctx context.Context // of one call
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

func digestOf(ctx context.Context, file string) (digest string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	if _, err := io.Copy(sum, untilDone{ctx, f}); err != nil {
		return "", err
	}
	return digestPrefix + hex.EncodeToString(sum.Sum(nil)), nil
}
