package image

import (
	"fmt"
	"io"
	"os"
)

// readSmall reads a whole file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, &Error{Kind: ErrBudget, Msg: fmt.Sprintf("%s is larger than %d bytes", path, limit)}
	}
	return raw, nil
}
