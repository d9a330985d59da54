package tool

import (
	"errors"
	"os"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// TestStandardInputGivesNobody: the owner of a file whose name is standard input's in messages doesn't count as the giver of
// standard input.
func TestStandardInputGivesNobody(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.WriteFile(shape.StdinName, nil, 0o600), os.Chown(shape.StdinName, 4242, 4242)); err != nil {
		t.Fatal(err)
	}
	if r := (Source{Path: shape.StdinName}).Search(); r.Giver != -1 {
		t.Errorf("got giver %d, want -1", r.Giver)
	}
}
