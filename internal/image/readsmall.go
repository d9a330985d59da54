package image

import (
	"errors"
	"fmt"
	"os"

	"github.com/mayfly-run/mayfly/internal/document"
)

// readSmall reads a whole file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := document.Read(f, limit)
	if errors.Is(err, document.ErrTooLarge) {
		return nil, &Error{Kind: ErrBudget, Msg: fmt.Sprintf("%s is larger than %d bytes", path, limit)}
	}
	return raw, err
}
