package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/show"
)

func newLogsCommand(s streams) *cobra.Command {
	f := &runFlags{grace: run.DefaultGrace}
	var follow bool
	c := &cobra.Command{
		Use:   "logs RUN",
		Short: "Print what a run on a server has printed so far",
		Long: `Print what a run on a server has printed so far. With -f, follow it to its end: the exit status is then that of the run, and
Ctrl-C leaves it without ending it.`,
		Example: `  mayfly logs 01a20974-721d-7515-b4bb-132b84d3651b
  mayfly logs -f 01a20974-721d-7515-b4bb-132b84d3651b`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.where.mustOpen("mayfly logs")
			if err != nil {
				return err
			}
			defer r.Close()
			var view show.View = show.NewTool(s.output(), show.ToolOptions{Quiet: f.quiet, Grace: f.grace, Place: r.Place()})
			if f.json {
				view = show.NewJSON(s.out)
			}
			if !follow {
				return printSoFar(c.Context(), view, func(ctx context.Context, emit func(run.Event)) error {
					return r.SoFar(ctx, r.Project, args[0], emit)
				})
			}
			result, err := r.Await(c.Context(), args[0], view.Event, func(err error) {
				f.notice(s)(fmt.Sprintf("the connection to %s was cut (%v); trying again", r.Server(), err))
			})
			if result == nil {
				return err
			}
			if err := view.Finish(result, err); err != nil {
				return err
			}
			return statusOf(result)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "follow the run to its end")
	f.where.add(c.Flags())
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print only the tool's own output")
	jsonFlag(c.Flags(), &f.json, "print events as JSON, one per line")
	return c
}

// printSoFar shows events, and how the run ended if it has.
func printSoFar(ctx context.Context, view show.View, events func(context.Context, func(run.Event)) error) error {
	var result *run.Result
	err := events(ctx, func(e run.Event) {
		if e.Result != nil {
			result = e.Result
		}
		view.Event(e)
	})
	if err != nil || result == nil {
		return err
	}
	return view.Finish(result, nil)
}

func newCancelCommand(s streams) *cobra.Command {
	var w whereFlags
	c := &cobra.Command{
		Use: "cancel RUN…", Short: "Ask for the end of runs on a server", Args: cobra.MinimumNArgs(1),
		Long:    "Ask for the end of runs on a server. A run that runs gets TERM, and KILL after its grace; one that waits ends at once.",
		Example: "  mayfly cancel 01a20974-721d-7515-b4bb-132b84d3651b",
		RunE: func(c *cobra.Command, args []string) error {
			r, err := w.mustOpen("mayfly cancel")
			if err != nil {
				return err
			}
			defer r.Close()
			for _, id := range args {
				if _, err := r.Cancel(c.Context(), r.Project, id); err != nil {
					return err
				}
				fmt.Fprintln(s.out, id)
			}
			return nil
		},
	}
	w.add(c.Flags())
	return c
}

func newRerunCommand(s streams) *cobra.Command {
	f := &runFlags{grace: run.DefaultGrace}
	c := &cobra.Command{
		Use: "rerun RUN", Short: "Run on a server the same as an earlier run", Args: cobra.ExactArgs(1),
		Long:    "Run on a server the same as an earlier run: the same definition and inputs, also if the tool has a newer version.",
		Example: "  mayfly rerun 01a20974-721d-7515-b4bb-132b84d3651b",
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.where.mustOpen("mayfly rerun")
			if err != nil {
				return err
			}
			defer r.Close()
			one, err := r.Rerun(c.Context(), r.Project, args[0])
			if err != nil {
				return err
			}
			return f.accepted(c.Context(), s, r, one)
		},
	}
	f.where.add(c.Flags())
	c.Flags().BoolVar(&f.detach, "detach", false, "print the run's id, and don't wait for it")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print only the tool's own output")
	jsonFlag(c.Flags(), &f.json, "print events as JSON, one per line")
	return c
}
