package image

import (
	"errors"
	"syscall"
)

// noSpace gives a full disk its kind.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &Error{Kind: ErrNoSpace, Msg: "disk full", Err: err, Hint: "free space with 'mayfly image prune --all', or put MAYFLY_HOME on a larger disk"}
	}
	return err
}
