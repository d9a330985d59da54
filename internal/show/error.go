package show

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mayfly-run/mayfly/internal/textsafe"
)

// Error says what went wrong and what to do about it; for nil it says nothing.
func Error(w io.Writer, err error) {
	if err != nil {
		fmt.Fprintln(w, errorText(err))
	}
}

// errorText is an error as Mayfly prints it. A name in it that someone else chose, such as a file's, can't steer the terminal.
func errorText(err error) string {
	text := err.Error()
	if errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
		text += "; run it as root, or see 'mayfly doctor' for what an ordinary user needs"
	}
	return "mayfly: " + textsafe.Replace(text, "\n\t")
}
