//go:build !unix

package image

import (
	"context"
	"os"
)

func tryFlock(*os.File, bool) (bool, error) {
	return false, &Error{Kind: ErrUnsupported, Msg: "an image store needs flock"}
}

func stillNamed(*os.File, string) bool { return false }

func acquire(context.Context, string, bool, func()) (*os.File, error) {
	return nil, &Error{Kind: ErrUnsupported, Msg: "an image store needs flock", Hint: "run mayfly in a Linux virtual machine"}
}
