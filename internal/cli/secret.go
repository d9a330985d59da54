package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/show"
)

func newSecretCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "secret",
		Short: "Manage the secrets of this machine, or of a server",
		Long: `Manage the secrets of this machine, or of a server. Those of this machine are encrypted in $MAYFLY_HOME/secrets under the key in
identity.txt there; keep a copy of that file: without it the secrets are lost. No command prints a value.

If the key has a passphrase, Mayfly takes it from the file that $MAYFLY_PASSPHRASE_FILE names or
from $MAYFLY_PASSPHRASE, and otherwise asks at the terminal.`,
		Example: `  mayfly secret set api_token
  mayfly secret ls
  mayfly secret rotate-key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newSecretSet(s), newSecretList(s), newSecretRemove(s), newSecretRotate(s))
	return c
}

var errOwnKey = errors.New("a passphrase is for the key of this machine, and a server's key has none; leave the flag out, or give --server local")

// openSecrets opens the store of secrets of this machine.
func openSecrets() (*secret.Store, error) {
	h, err := host.Open()
	if err != nil {
		return nil, err
	}
	return h.Secrets(), nil
}

func newSecretSet(s streams) *cobra.Command {
	var from string
	var pass newPassphrase
	var w whereFlags
	var tools []string
	var tag string
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Set a secret, or a new version of it",
		Long: `Set a secret, or a new version of it. On a terminal it asks for the value without showing it.
Otherwise it reads standard input, without one line break at the end.

The first secret makes the key; --passphrase protects the key with a passphrase.

On a server, --for limits a secret to tools of the project; --for= opens it to all of them again. With --if-etag, that and a value are
set only if nobody has changed the secret since mayfly secret ls --json showed it.`,
		Example: `  mayfly secret set api_token
  pass show api/token | mayfly secret set api_token
  mayfly secret set api_token --from env:API_TOKEN
  mayfly secret set kubeconfig --from file:$HOME/.kube/config
  mayfly secret set deploy_key --from file:key --for deploy --server https://mayfly.example.com`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := w.open()
			switch {
			case err != nil:
				return err
			case r != nil && pass.wanted():
				r.Close()
				return &usageError{command: "mayfly secret set", err: errOwnKey}
			case r != nil:
				return setRemoteSecret(cmd.Context(), s, r, args[0], tag, from, tools)
			case tools != nil:
				return &usageError{command: "mayfly secret set", err: errors.New("--for is about the tools of a server; give --server or --context")}
			case cmd.Flags().Changed("project"):
				return &usageError{command: "mayfly secret set", err: errors.New("--project is about the secrets of a server; give --server or --context")}
			case tag != "":
				return &usageError{command: "mayfly secret set", err: errors.New("--if-etag is about a secret of a server; give --server or --context")}
			}
			return setSecret(cmd.Context(), s, args[0], from, &pass)
		},
	}
	c.Flags().StringVar(&from, "from", "", "where the value is: `env:VARIABLE`, file:PATH or - for standard input")
	pass.flags(c, "protect the new key with a passphrase, which is asked for at the terminal")
	c.Flags().StringSliceVar(&tools, "for", nil, "on a server: a `TOOL` that may use it; may be repeated")
	c.Flags().StringVar(&tag, "if-etag", "", "on a server: only if the secret still has this `ETAG`, which mayfly secret ls --json prints")
	w.add(c.Flags())
	return c
}

func setSecret(ctx context.Context, s streams, name, from string, pass *newPassphrase) error {
	store, err := openSecrets()
	if err != nil {
		return err
	}
	// Before anyone types a value.
	if err := secret.CheckName(name); err != nil {
		return &usageError{command: "mayfly secret set", err: err}
	}
	if pass.wanted() {
		if err := createKey(ctx, s, store, pass); err != nil {
			return err
		}
	}
	value, err := readValue(ctx, s, name, from)
	if err != nil {
		return err
	}
	defer clear(value)
	version, err := store.Set(ctx, name, value)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s version %d\n", name, version)
	return err
}

// readValue reads the value of a secret: from where it is said to be, at the terminal, or from standard input.
func readValue(ctx context.Context, s streams, name, from string) (value []byte, err error) {
	if from == "" && show.IsTerminal(s.in) {
		value, err = askTwice(s, "value of "+name)
	} else {
		if from == "" {
			from = "-"
		}
		value, err = secret.ReadFrom(ctx, from, s.in)
	}
	if err != nil {
		return nil, fmt.Errorf("read the value of %s: %w", name, err)
	}
	if len(value) == 0 {
		return nil, fmt.Errorf("the value of %s is empty, so it wasn't set; to remove the secret: mayfly secret rm %s", name, name)
	}
	if !secret.Maskable(value) {
		fmt.Fprintf(s.err, "warning: the value of %s has fewer than %d characters; Mayfly doesn't mask it in what tools print\n", name, secret.MinMasked)
	}
	return value, nil
}

func newSecretList(s streams) *cobra.Command {
	var asJSON, quiet bool
	var w whereFlags
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the names of the secrets",
		Example: "  mayfly secret ls\n  mayfly secret ls --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := w.open()
			if err != nil {
				return err
			}
			if r != nil {
				return listRemoteSecrets(cmd.Context(), s, r, asJSON, quiet)
			}
			store, err := openSecrets()
			if err != nil {
				return err
			}
			// Whatever else is wrong, the secrets that can be listed are.
			list, wrong := store.List()
			if wrong != nil && len(list) == 0 {
				return wrong
			}
			if asJSON {
				return errors.Join(printList(s.out, list), wrong)
			}
			w := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
			if !quiet {
				fmt.Fprintln(w, "NAME\tVERSION\tSET")
			}
			for _, i := range list {
				if quiet {
					fmt.Fprintln(w, i.Name)
					continue
				}
				fmt.Fprintf(w, "%s\t%d\t%s\n", i.Name, i.Version, ago(i.Set))
			}
			return errors.Join(w.Flush(), wrong)
		},
	}
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print only the names")
	w.add(c.Flags())
	return c
}

func newSecretRemove(s streams) *cobra.Command {
	var w whereFlags
	c := &cobra.Command{
		Use:     "rm NAME…",
		Aliases: []string{"remove"},
		Short:   "Remove secrets",
		Example: "  mayfly secret rm api_token",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			r, err := w.open()
			if err != nil {
				return err
			}
			if r != nil {
				return removeRemoteSecrets(cmd.Context(), s, r, names)
			}
			store, err := openSecrets()
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := store.Remove(cmd.Context(), name); err != nil {
					return explainNoSecret(store, err)
				}
				fmt.Fprintln(s.out, name)
			}
			return nil
		},
	}
	w.add(c.Flags())
	return c
}

// explainNoSecret adds the secret that was probably meant to the error for one that doesn't exist.
func explainNoSecret(store *secret.Store, err error) error {
	var missing *secret.NotFoundError
	if !errors.As(err, &missing) {
		return err
	}
	missing.Remedy = "to list them: mayfly secret ls"
	list, _ := store.List() // what can't be read isn't a suggestion
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	if near := shape.Nearest(missing.Name, names); near != "" {
		missing.Remedy = fmt.Sprintf("did you mean %s?", near)
	}
	return err
}

func newSecretRotate(s streams) *cobra.Command {
	var pass newPassphrase
	var none bool
	var w whereFlags
	c := &cobra.Command{
		Use:   "rotate-key",
		Short: "Replace the key with a new one",
		Long: `Replace the key with a new one and wrap every secret for it. You can interrupt it at any moment: all
secrets stay readable, and the next rotate-key finishes the work.

The new key has the old passphrase, unless you give another.`,
		Example: `  mayfly secret rotate-key
  mayfly secret rotate-key --passphrase
  mayfly secret rotate-key --passphrase-from file:/run/keys/mayfly`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := w.open()
			if err != nil {
				return err
			}
			if r != nil {
				defer r.Close()
				if pass.wanted() || none {
					return &usageError{command: "mayfly secret rotate-key", err: errOwnKey}
				}
				if err := r.RotateKeys(cmd.Context()); err != nil {
					return err
				}
				_, err := fmt.Fprintln(s.out, "the server's secrets are wrapped for a new key")
				return err
			}
			store, err := openSecrets()
			if err != nil {
				return err
			}
			var phrase []byte
			if pass.wanted() {
				if phrase, err = pass.read(cmd.Context(), s); err != nil {
					return err
				}
				defer clear(phrase)
			}
			n, err := store.RotateKey(cmd.Context())
			if err != nil {
				return err
			}
			if pass.wanted() || none {
				if err := store.SetPassphrase(cmd.Context(), phrase); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(s.out, "secrets wrapped for the new key: %d\n", n)
			return err
		},
	}
	pass.flags(c, "protect the key with another passphrase, which is asked for at the terminal")
	c.Flags().BoolVar(&none, "no-passphrase", false, "keep the key without a passphrase")
	w.add(c.Flags())
	exclusive(c, "no-passphrase", "passphrase")
	exclusive(c, "no-passphrase", "passphrase-from")
	return c
}
