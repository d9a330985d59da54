package cli

import (
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/show"
)

func newShellCommand(s streams) *cobra.Command {
	var remove, asJSON bool
	c := &cobra.Command{
		Use:   "shell [RUN [-- COMMAND…]]",
		Short: "Look inside the sandbox of a tool that failed",
		Long: `Look inside the sandbox of a tool that failed under --keep-on-failure: its files as the tool left
them, its network rules, its limits. The beginning of the run's id is enough. Without RUN, list the sandboxes that are kept.`,
		Example: `  mayfly run check.yaml --keep-on-failure
  mayfly shell 01a20974-721d-7515-b4bb-132b84d3651b
  mayfly shell 01a20974-721d-7515-b4bb-132b84d3651b -- ls -l /tmp
  mayfly shell --remove 01a20974-721d-7515-b4bb-132b84d3651b`,
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := host.Keeper()
			if err != nil {
				return err
			}
			switch {
			case remove && len(args) != 1:
				return &usageError{command: "mayfly shell", err: errors.New("--remove takes one RUN, and no command")}
			case asJSON && len(args) > 0:
				return &usageError{command: "mayfly shell", err: errors.New("--json is only for the list; leave RUN out")}
			case len(args) == 0:
				return listKept(s, e, asJSON)
			}
			id, err := engine.FindKept(e, args[0])
			if err != nil {
				return err
			}
			if remove {
				if err := e.RemoveKept(id); err != nil {
					return err
				}
				_, err := fmt.Fprintln(s.out, id)
				return err
			}
			command := args[1:]
			if len(command) == 0 {
				command = []string{"sh"}
			}
			return shell(s, e, id, command)
		},
	}
	c.Flags().BoolVar(&remove, "remove", false, "end the sandbox and remove it")
	jsonFlag(c.Flags(), &asJSON, "print the list as JSON")
	return c
}

func listKept(s streams, e engine.Keeper, asJSON bool) error {
	kept, err := e.KeptRuns()
	if err != nil {
		return err
	}
	if asJSON {
		return printList(s.out, kept)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "RUN\tKEPT")
	for _, k := range kept {
		fmt.Fprintf(w, "%s\t%s\n", k.ID, ago(k.Since))
	}
	return w.Flush()
}

func shell(s streams, e engine.Keeper, id string, command []string) (err error) {
	streams := engine.Streams{Stdin: s.in, Stdout: s.out, Stderr: s.err}
	var terminal *engine.Terminal
	if in, isFile := s.in.(*os.File); isFile && show.IsTerminal(in) && show.IsTerminal(s.out) {
		own, openErr := openTerminal(in)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, own.close()) }()
		defer onEndingSignal(own.giveBack)()
		terminal = &engine.Terminal{Columns: own.columns, Rows: own.rows, Resized: own.resized, Take: own.take}
	}
	code, err := e.Shell(id, command, terminal, streams)
	if err != nil {
		return err
	}
	if code != 0 {
		return &exitError{status: code}
	}
	return nil
}
