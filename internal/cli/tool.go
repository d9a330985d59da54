package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/remote"
	"github.com/mayfly-run/mayfly/internal/show"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

func newToolCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "tool",
		Short: "Push tools to a server, and look at their versions",
		Example: `  mayfly tool push tools/check --server https://mayfly.example.com
  mayfly tool ls
  mayfly tool versions check
  mayfly tool diff check`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(newToolPushCommand(s), newToolListCommand(s), newToolVersionsCommand(s), newToolDiffCommand(s), newToolGetCommand(s))
	return c
}

func newToolPushCommand(s streams) *cobra.Command {
	var w whereFlags
	var name, note string
	var asJSON bool
	c := &cobra.Command{
		Use:   "push FILE|FOLDER|NAME…",
		Short: "Make a version of a tool or workflow on a server",
		Long: `Make a version of a tool or workflow on a server. A folder is pushed whole, except for .git; of a file, what the
definition names goes with it: its script and the files of its volumes, and of a workflow the tools that its steps give by
path. A step that gives a tool by name runs that of the project. Only what the server doesn't have is sent. A version
never changes, and the same files as those of the latest version make no new one.`,
		Example: `  mayfly tool push examples/http-check.yaml
  mayfly tool push tools/backup --note "keeps seven days"`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := w.mustOpen("mayfly tool push")
			if err != nil {
				return err
			}
			defer r.Close()
			if name != "" && len(args) > 1 {
				return &usageError{command: "mayfly tool push", err: fmt.Errorf("--name is for one tool, and %d are given", len(args))}
			}
			all, err := pushed(s, args)
			if err != nil {
				return err
			}
			for _, one := range all {
				if err := one.push(c.Context(), s, r, name, note, asJSON); err != nil {
					return err
				}
			}
			return nil
		},
	}
	w.add(c.Flags())
	c.Flags().StringVar(&name, "name", "", "`NAME` on the server, instead of the definition's")
	c.Flags().StringVarP(&note, "note", "m", "", "`TEXT` that says what changes")
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	return c
}

// toPush is what is pushed.
type toPush struct {
	def  *definition.Definition
	file string
	what remote.Part
}

// pushed reads what is pushed. Workflows come last: their steps may name the tools before them.
func pushed(s streams, args []string) (all []toPush, err error) {
	for _, arg := range args {
		found, _, err := toolPath(arg)
		if err != nil {
			return nil, explainMissing(arg, err)
		}
		one := toPush{file: found.File, what: remote.Own}
		if one.def, _, err = parseDefinition(s.in, arg); err != nil {
			return nil, err
		}
		if isFolderOf(arg, found.File) {
			one.what = remote.Folder
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(x, y toPush) int { return cmp.Compare(kindOrder(x.def), kindOrder(y.def)) })
	return all, nil
}

// isFolderOf is whether arg is the folder of a definition. It may be a folder with the name of a tool whose definition is elsewhere.
func isFolderOf(arg, file string) bool {
	folder, err := os.Stat(arg)
	if err != nil {
		return false
	}
	of, err := os.Stat(filepath.Dir(file))
	return err == nil && os.SameFile(folder, of)
}

func kindOrder(def *definition.Definition) int {
	if def.Workflow != nil {
		return 1
	}
	return 0
}

func (p toPush) push(ctx context.Context, s streams, r *remote.Remote, name, note string, asJSON bool) error {
	b, sent, err := r.Send(ctx, p.file, p.def, p.what)
	if err != nil {
		return err
	}
	v, err := r.CreateVersion(ctx, r.Project, cmp.Or(name, nameOf(p.def)), &api.NewVersion{Bundle: *b, Note: note})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSONLine(s.out, v)
	}
	text := fmt.Sprintf("%s version %d: %d of %d files sent, %s", v.Tool, v.Version, sent.NewFiles, sent.Files, show.Size(sent.NewBytes))
	if !v.New {
		text = fmt.Sprintf("%s version %d has these files already", v.Tool, v.Version)
	}
	for _, w := range v.Warnings {
		printWrong(s.err, w)
	}
	_, err = fmt.Fprintln(s.out, text)
	return err
}

func nameOf(def *definition.Definition) string {
	if def.Workflow != nil {
		return def.Workflow.Name
	}
	return def.Tool.Name
}

func newToolListCommand(s streams) *cobra.Command {
	return versionsCommand(s, &cobra.Command{
		Use: "ls", Short: "List the tools of a server", Example: "  mayfly tool ls --server https://mayfly.example.com", Args: cobra.NoArgs,
	}, func(ctx context.Context, c *api.Client, project string, _ []string) ([]api.Version, error) {
		return c.Tools(ctx, project)
	})
}

func newToolVersionsCommand(s streams) *cobra.Command {
	return versionsCommand(s, &cobra.Command{
		Use: "versions NAME", Short: "List the versions of a tool on a server", Example: "  mayfly tool versions check", Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, c *api.Client, project string, args []string) ([]api.Version, error) {
		return c.Versions(ctx, project, args[0])
	})
}

// versionsCommand completes a command that lists versions.
func versionsCommand(s streams, c *cobra.Command, list func(context.Context, *api.Client, string, []string) ([]api.Version, error)) *cobra.Command {
	var w whereFlags
	var asJSON bool
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := w.mustOpen(c.CommandPath())
		if err != nil {
			return err
		}
		defer r.Close()
		all, err := list(c.Context(), r.Client, r.Project, args)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSONLine(s.out, all)
		}
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "TOOL\tVERSION\tKIND\tCREATED\tBY\tNOTE")
		for _, v := range all {
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", cell(v.Tool), v.Version, v.Kind, v.Created.Local().Format(time.DateTime), cell(v.CreatedBy), cell(v.Note))
		}
		return table.Flush()
	}
	w.add(c.Flags())
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	return c
}

// printWrong prints a warning of the server.
func printWrong(w io.Writer, one api.Wrong) {
	text := one.Where + ": warning: " + one.Message
	if one.Hint != "" {
		text += "; " + one.Hint
	}
	fmt.Fprintln(w, "mayfly:", shown(text))
}
