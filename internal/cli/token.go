package cli

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/remote"
)

// tokenFlags are those that the commands about tokens share.
type tokenFlags struct {
	where  whereFlags
	all    bool
	asJSON bool
}

func (f *tokenFlags) add(c *cobra.Command) {
	f.where.add(c.Flags())
	c.Flags().BoolVar(&f.all, "all-projects", false, "tokens for all projects, and those of runners, instead of those of the context's project")
	jsonFlag(c.Flags(), &f.asJSON, "print JSON")
}

// open returns the server, and the project whose tokens are meant.
func (f *tokenFlags) open(c *cobra.Command) (*remote.Remote, string, error) {
	r, err := f.where.mustOpen(c.CommandPath())
	if err != nil {
		return nil, "", err
	}
	if f.all {
		return r, "", nil
	}
	return r, r.Project, nil
}

func newTokenCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Make and end the tokens by which people, programs and runners use a server",
		Example: `  mayfly token create ada --role author
  mayfly token create build-farm --role runner --pool build --all-projects
  mayfly token ls
  mayfly token rm ada`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(newTokenCreateCommand(s), newTokenListCommand(s), newTokenRemoveCommand(s))
	return c
}

func newTokenCreateCommand(s streams) *cobra.Command {
	var f tokenFlags
	var n api.NewToken
	var expires string
	c := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Make a token, and print it: nobody can read it later",
		Long: `Make a token. Its text goes to standard output, and nobody can read it later. Roles, each with all that those before it may:

  viewer     reads
  operator   runs tools and cancels runs
  author     makes versions of tools
  admin      all of the project; with --all-projects all of the server

A runner's role is apart from them: it serves a pool and reads nothing but the runs that it gets.`,
		Example: `  mayfly token create ci --role operator --expires 90d > ci-token
  mayfly token create build-farm --role runner --pool build --all-projects > runner-token`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			lasts, err := lifetime(expires)
			if err != nil {
				return &usageError{command: c.CommandPath(), err: err}
			}
			r, project, err := f.open(c)
			if err != nil {
				return err
			}
			defer r.Close()
			n.Name, n.ExpiresSeconds = args[0], int64(lasts/time.Second)
			t, err := r.CreateToken(c.Context(), project, &n)
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSONLine(s.out, t)
			}
			_, err = fmt.Fprintln(s.out, t.Token)
			return err
		},
	}
	f.add(c)
	c.Flags().StringVar(&n.Role, "role", "", "`ROLE`: viewer, operator, author, admin or runner")
	c.Flags().StringVar(&n.Pool, "pool", "", "for a runner: the `POOL` that it serves; default by default")
	c.Flags().StringVar(&expires, "expires", "", "`DURATION` for which it is good, such as 12h or 90d; for ever by default")
	_ = c.MarkFlagRequired("role") // the flag exists
	return c
}

// lifetime reads --expires. It returns 0, which is for ever, only if text is empty.
func lifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := daysOf(text); ok {
		d, err = time.Duration(days)*24*time.Hour, nil
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("--expires %q is not a duration; write it as 12h or 90d", text)
	case d < time.Second:
		return 0, errors.New("--expires must be at least 1s")
	}
	return d, nil
}

func newTokenListCommand(s streams) *cobra.Command {
	var f tokenFlags
	c := &cobra.Command{
		Use: "ls", Short: "List tokens, without their texts", Example: "  mayfly token ls --all-projects", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, project, err := f.open(c)
			if err != nil {
				return err
			}
			defer r.Close()
			all, err := r.Tokens(c.Context(), project)
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSONLine(s.out, all)
			}
			table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tROLE\tPOOL\tCREATED\tEXPIRES")
			for _, t := range all {
				expires := "never"
				if !t.Expires.IsZero() {
					expires = t.Expires.Local().Format(time.DateTime)
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", cell(t.Name), t.Role, cell(t.Pool), t.Created.Local().Format(time.DateTime), expires)
			}
			if err := table.Flush(); err != nil {
				return err
			}
			if !f.all {
				fmt.Fprintln(s.err, "mayfly: tokens for all projects and of runners: mayfly token ls --all-projects")
			}
			return nil
		},
	}
	f.add(c)
	return c
}

func newTokenRemoveCommand(s streams) *cobra.Command {
	var f tokenFlags
	c := &cobra.Command{
		Use: "rm NAME…", Short: "End tokens: from then on the server refuses them", Example: "  mayfly token rm ci", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, project, err := f.open(c)
			if err != nil {
				return err
			}
			defer r.Close()
			for _, name := range args {
				if err := r.DeleteToken(c.Context(), project, name); err != nil {
					return err
				}
				fmt.Fprintln(s.out, name)
			}
			return nil
		},
	}
	f.where.add(c.Flags())
	c.Flags().BoolVar(&f.all, "all-projects", false, "tokens for all projects, and those of runners")
	return c
}
