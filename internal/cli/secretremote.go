package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/remote"
	"github.com/mayfly-run/mayfly/internal/secret"
)

// setRemoteSecret sets a secret of a server, or with only tools which of them may use it. tag is the ETag that it must have; "" is any.
func setRemoteSecret(ctx context.Context, s streams, r *remote.Remote, name, tag, from string, tools []string) error {
	defer r.Close()
	if err := secret.CheckName(name); err != nil {
		return &usageError{command: "mayfly secret set", err: err}
	}
	n := &api.SetSecret{}
	if tools != nil {
		if len(tools) == 1 && tools[0] == "" {
			tools = []string{} // --for= opens it to all tools
		}
		n.Tools = &tools
	}
	if tools == nil || from != "" {
		value, err := readValue(ctx, s, name, from)
		if err != nil {
			return err
		}
		defer clear(value)
		text := base64.StdEncoding.EncodeToString(value)
		n.Value = &text
	}
	one, err := r.SetSecret(ctx, r.Project, name, tag, n)
	if err != nil {
		return err
	}
	if n.Value == nil {
		_, err = fmt.Fprintf(s.out, "%s version %d: its value is the same, only the tools have changed; to set a value too, add --from -\n", one.Name, one.Version)
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s version %d\n", one.Name, one.Version)
	return err
}

func listRemoteSecrets(ctx context.Context, s streams, r *remote.Remote, asJSON, quiet bool) error {
	defer r.Close()
	all, err := r.Secrets(ctx, r.Project)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSONLine(s.out, all)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	if !quiet {
		fmt.Fprintln(w, "NAME\tVERSION\tSET\tBY\tUSED\tFOR")
	}
	for _, one := range all {
		if quiet {
			fmt.Fprintln(w, one.Name)
			continue
		}
		used := "never"
		if !one.Used.IsZero() {
			used = ago(one.Used)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", one.Name, one.Version, ago(one.Set), cell(one.SetBy), used, cell(strings.Join(one.Tools, ",")))
	}
	return w.Flush()
}

func removeRemoteSecrets(ctx context.Context, s streams, r *remote.Remote, names []string) error {
	defer r.Close()
	for _, name := range names {
		if err := r.DeleteSecret(ctx, r.Project, name); err != nil {
			return err
		}
		fmt.Fprintln(s.out, name)
	}
	return nil
}
