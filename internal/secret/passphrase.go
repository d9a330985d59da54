package secret

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"golang.org/x/term"
)

// PassphraseFunc returns the passphrase of the key file at a path. The store owns the bytes, and wipes them.
type PassphraseFunc func(ctx context.Context, path string) ([]byte, error)

// The environment variables for a passphrase, for use without a terminal.
const (
	PassphraseEnv     = "MAYFLY_PASSPHRASE"
	PassphraseFileEnv = "MAYFLY_PASSPHRASE_FILE"
)

// AskPassphrase reads the passphrase from the file that $MAYFLY_PASSPHRASE_FILE names, without line breaks at its end. If that isn't
// set, it uses $MAYFLY_PASSPHRASE, and otherwise asks at the terminal, without echo.
func AskPassphrase(_ context.Context, path string) ([]byte, error) {
	if pass, ok, err := passphraseFromEnvironment(); ok || err != nil {
		return pass, err
	}
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return nil, fmt.Errorf("%s has a passphrase, and there is no terminal to ask for it; set $%s to a file that contains it", path, PassphraseFileEnv)
	}
	fmt.Fprintf(os.Stderr, "passphrase of %s: ", path)
	pass, err := term.ReadPassword(in)
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	return pass, nil
}

func passphraseFromEnvironment() (pass []byte, ok bool, err error) {
	if path := os.Getenv(PassphraseFileEnv); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, false, fmt.Errorf("read the passphrase ($%s): %w", PassphraseFileEnv, err)
		}
		defer f.Close()
		content, err := readValue(f)
		if err != nil {
			return nil, false, fmt.Errorf("read the passphrase in %s: %w", path, err)
		}
		return bytes.TrimRight(content, "\r\n"), true, nil
	}
	if value, set := os.LookupEnv(PassphraseEnv); set && value != "" {
		return []byte(value), true, nil
	}
	return nil, false, nil
}
