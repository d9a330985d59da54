package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/remote"
)

func newLoginCommand(s streams) *cobra.Command {
	var name, project, tokenFile, fingerprint string
	c := &cobra.Command{
		Use:   "login URL --token-file FILE",
		Short: "Log in to a server: make a context of its address and a token",
		Long: `Log in to a server. The address, the token and what the server's certificate is known by are kept as a context,
in a file that only you may read.

If no authority that this machine trusts vouches for the server's certificate, its fingerprint is kept, and no other certificate
is accepted from then on. The server prints it when it starts: compare the two, or give it with --fingerprint.`,
		Example: `  mayfly login https://127.0.0.1:6293 --token-file /var/lib/mayfly-server/admin-token

  # the token on standard input
  pass mayfly/token | mayfly login https://mayfly.example.com --token-file -`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			one := remote.Context{Name: name, Server: strings.TrimSuffix(args[0], "/"), Project: project, Fingerprint: fingerprint}
			return login(c.Context(), s, one, tokenFile)
		},
	}
	c.Flags().StringVar(&name, "name", "", "`NAME` of the context; by default the server's host and port")
	c.Flags().StringVar(&project, "project", "default", "`PROJECT` that commands use")
	c.Flags().StringVar(&tokenFile, "token-file", "", "`FILE` with the token, or - for standard input; by default MAYFLY_TOKEN has it")
	c.Flags().StringVar(&fingerprint, "fingerprint", "", "`sha256:HEX` of the server's certificate")
	return c
}

// login makes a context, once the server has taken its token.
func login(ctx context.Context, s streams, one remote.Context, tokenFile string) error {
	u, err := url.Parse(one.Server)
	if err != nil || u.Host == "" {
		return &usageError{command: "mayfly login", err: fmt.Errorf("%q is not the address of a server, such as https://127.0.0.1:6293; for a registry, use docker login: mayfly image pull uses its credentials", one.Server)}
	}
	if one.Name == "" {
		one.Name = u.Host
	}
	if one.Name == remote.Local {
		return &usageError{command: "mayfly login", err: errors.New("a context can't have the name local, which is this machine's")}
	}
	if one.Token, err = readToken(s.in, tokenFile); err != nil {
		return err
	}
	pinned := false
	if u.Scheme == "https" && one.Fingerprint == "" {
		seen, trusted, err := api.Certificate(ctx, one.Server)
		if err != nil {
			return err
		}
		if !trusted {
			one.Fingerprint, pinned = seen, true
		}
	}
	r, err := one.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := r.Runs(ctx, r.Project, api.RunFilter{Limit: 1}); err != nil {
		return err
	}
	all, err := remote.LoadContexts()
	if err != nil {
		return err
	}
	all.Put(one)
	if err := all.Save(); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "logged in to %s, project %s; the context is %s\n", one.Server, one.Project, one.Name)
	if pinned {
		fmt.Fprintf(s.out, "its certificate is known by %s from now on; compare it with what the server prints when it starts\n", one.Fingerprint)
	}
	if all.Current != one.Name {
		fmt.Fprintf(s.out, "commands go there with --server %s, or always after: mayfly context use %s\n", one.Server, one.Name)
	}
	return nil
}

// maxToken bounds a token's file.
const maxToken = 64 << 10

func readToken(stdin io.Reader, file string) (string, error) {
	if file == "" {
		if token := os.Getenv("MAYFLY_TOKEN"); token != "" {
			return token, nil
		}
		return "", &usageError{command: "mayfly login", err: errors.New("give the token with --token-file FILE, or in MAYFLY_TOKEN")}
	}
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read the token: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := document.Read(in, maxToken)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsAny(token, " \n\r\t") {
		return "", fmt.Errorf("%s doesn't have a token: one line is expected", file)
	}
	return token, nil
}
