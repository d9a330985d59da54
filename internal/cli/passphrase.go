package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mayfly-run/mayfly/internal/secret"
)

// newPassphrase is a passphrase to set.
type newPassphrase struct {
	ask  bool
	from string
}

func (p *newPassphrase) flags(c *cobra.Command, help string) {
	c.Flags().BoolVar(&p.ask, "passphrase", false, help)
	c.Flags().StringVar(&p.from, "passphrase-from", "", "the same, with the passphrase in `env:VARIABLE`, file:PATH or - (standard input)")
	exclusive(c, "passphrase", "passphrase-from")
}

func (p *newPassphrase) wanted() bool { return p.ask || p.from != "" }

func (p *newPassphrase) read(ctx context.Context, s streams) (phrase []byte, err error) {
	if p.ask {
		phrase, err = askTwice(s, "new passphrase")
	} else {
		phrase, err = secret.ReadFrom(ctx, p.from, s.in)
		phrase = bytes.TrimRight(phrase, "\r\n")
	}
	if err == nil && len(phrase) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	return phrase, nil
}

func createKey(ctx context.Context, s streams, store *secret.Store, pass *newPassphrase) error {
	phrase, err := pass.read(ctx, s)
	if err != nil {
		return err
	}
	defer clear(phrase)
	return store.Create(ctx, phrase)
}

// askTwice asks on the terminal without showing what is typed, and for that reason twice.
func askTwice(s streams, what string) ([]byte, error) {
	in, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, errors.New("standard input is not a terminal")
	}
	shown, err := term.GetState(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	stop := onEndingSignal(func() {
		_ = term.Restore(int(in.Fd()), shown)
		fmt.Fprintln(s.err)
	})
	defer stop()
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(s.err, prompt)
		typed, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(s.err)
		return typed, err
	}
	first, err := ask(what + ": ")
	if err != nil {
		return nil, err
	}
	second, err := ask(what + ", again: ")
	defer clear(second)
	if err == nil && !bytes.Equal(first, second) {
		err = errors.New("the two entries differ; nothing was changed")
	}
	if err != nil {
		clear(first)
		return nil, err
	}
	return first, nil
}
