package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/run"
)

func newPolicyCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Show and set what a server's operator allows the tools of a project",
		Long: `Show and set what a server's operator allows the tools of a project: images, networks, limits, and which tools may use which secrets. The
file has the format of a host's policy, /etc/mayfly/policy.yaml. A run that the policy refuses isn't accepted; runners enforce it
together with the policy of their host. Only administrators of all projects may set it.`,
		Example: `  mayfly policy set policy.yaml --project web
  mayfly policy get --project web
  mayfly policy rm --project web`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(newPolicySetCommand(s), newPolicyGetCommand(s), newPolicyRemoveCommand(s))
	return c
}

// maxPolicy bounds a policy's file.
const maxPolicy = 1 << 20

func readPolicy(file string, stdin io.Reader) (string, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read the policy: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := document.Read(in, maxPolicy)
	if err != nil {
		return "", fmt.Errorf("read the policy %s: %w", file, err)
	}
	return string(data), nil
}

func versionFlag(c *cobra.Command, version *int) {
	c.Flags().IntVar(version, "if-version", 0, "only if the policy that is replaced has version `N`; any by default")
}

func newPolicySetCommand(s streams) *cobra.Command {
	var w whereFlags
	var version int
	var asJSON bool
	c := &cobra.Command{
		Use: "set FILE|-", Short: "Set the policy of a project, from a file or standard input", Args: cobra.ExactArgs(1),
		Example: `  mayfly policy set policy.yaml --project web
  mayfly policy set policy.yaml --project web --if-version 3`,
		RunE: func(c *cobra.Command, args []string) error {
			text, err := readPolicy(args[0], s.in)
			if err != nil {
				return err
			}
			r, err := w.mustOpen(c.CommandPath())
			if err != nil {
				return err
			}
			defer r.Close()
			p, err := r.SetPolicy(c.Context(), r.Project, text, version)
			if err != nil {
				return err
			}
			if p.Unused {
				fmt.Fprintf(s.err, "mayfly: no tool, run, secret, token or draft of the project %s is there yet\n", p.Project)
			}
			if asJSON {
				return printJSONLine(s.out, p)
			}
			_, err = fmt.Fprintf(s.out, "policy of %s version %d\n", p.Project, p.Version)
			return err
		},
	}
	w.add(c.Flags())
	versionFlag(c, &version)
	jsonFlag(c.Flags(), &asJSON, "print the policy as JSON")
	return c
}

func newPolicyGetCommand(s streams) *cobra.Command {
	var w whereFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "get", Short: "Print the policy of a project", Example: "  mayfly policy get --project web > policy.yaml", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := w.mustOpen(c.CommandPath())
			if err != nil {
				return err
			}
			defer r.Close()
			p, err := r.Policy(c.Context(), r.Project)
			var none *api.Problem
			if errors.As(err, &none) && none.Reason == run.CodeNoSuchThing {
				return run.NewError(run.CodeNoSuchThing, fmt.Sprintf("the project %s has no policy; set one with: mayfly policy set FILE", r.Project))
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSONLine(s.out, p)
			}
			_, err = io.WriteString(s.out, shown(p.Text))
			return err
		},
	}
	w.add(c.Flags())
	jsonFlag(c.Flags(), &asJSON, "print the policy with its version as JSON")
	return c
}

func newPolicyRemoveCommand(s streams) *cobra.Command {
	var w whereFlags
	var version int
	c := &cobra.Command{
		Use: "rm", Short: "Remove the policy of a project", Example: "  mayfly policy rm --project web", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := w.mustOpen(c.CommandPath())
			if err != nil {
				return err
			}
			defer r.Close()
			if err := r.DeletePolicy(c.Context(), r.Project, version); err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.out, "the project %s has no policy now\n", r.Project)
			return err
		},
	}
	w.add(c.Flags())
	versionFlag(c, &version)
	return c
}
