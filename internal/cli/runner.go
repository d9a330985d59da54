package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/secret"
)

// openRunner returns what carries runs out on this machine, with the secrets of the command line before all others. command is
// the one that is run, for errors.
func openRunner(h *host.Host, command string, secretFlags []string, stdin io.Reader, o host.RunnerOptions) (*local.Runner, error) {
	given, err := secret.ParseFlags(secretFlags, stdin)
	if err != nil {
		return nil, &usageError{command: command, err: err}
	}
	if err := given.Missing(); err != nil {
		return nil, err
	}
	o.Secrets = given
	return h.Runner(o)
}

// openImages opens the image store of this machine.
func openImages() (*image.Store, error) {
	h, err := host.Open()
	if err != nil {
		return nil, err
	}
	return h.Images()
}

// enterNamespace continues in the user namespace of an ordinary user. vetted says which of the definitions that the command
// will read [vet] has checked.
func enterNamespace(vetted ownership.Vetted) error { return host.EnterNamespace(os.Args, vetted) }

// notice returns a function that prints Mayfly's notices.
func notice(w io.Writer) func(text string) {
	return func(text string) { fmt.Fprintln(w, "mayfly:", text) }
}
