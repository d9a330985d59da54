package tool

import (
	"errors"
	"os"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// TestStandardInputGivesNobody: a file in the working folder with the name that standard input has in messages is nobody's.
func TestStandardInputGivesNobody(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.WriteFile(shape.StdinName, nil, 0o600), os.Chown(shape.StdinName, 4242, 4242)); err != nil {
		t.Fatal(err)
	}
	if r := (Source{Path: shape.StdinName}).Search(); r.Giver != -1 {
		t.Errorf("it gives %d", r.Giver)
	}
}
