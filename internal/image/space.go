package image

import (
	"errors"
	"syscall"
)

// noSpace makes the error of a full disk one of kind ErrNoSpace. It returns any other error unchanged.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &Error{Kind: ErrNoSpace, Msg: "disk full", Err: err, Hint: "free space with 'mayfly image prune --all', or put MAYFLY_HOME on a larger disk"}
	}
	return err
}
