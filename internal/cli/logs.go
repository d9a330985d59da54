package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/remote"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/show"
)

func newLogsCommand(s streams) *cobra.Command {
	f := &runFlags{grace: run.DefaultGrace}
	var follow bool
	var q api.LogQuery
	var tail int64
	c := &cobra.Command{
		Use:   "logs RUN",
		Short: "Print what a run on a server has printed so far",
		Long: `Print what a run on a server has printed so far. With -f, follow it to its end: the exit status is then that of the run, and
Ctrl-C leaves it without ending it.`,
		Example: `  mayfly logs 01a20974-721d-7515-b4bb-132b84d3651b
  mayfly logs -f 01a20974-721d-7515-b4bb-132b84d3651b
  mayfly logs --tail 20 -f 01a20974-721d-7515-b4bb-132b84d3651b
  mayfly logs --find error 01a20974-721d-7515-b4bb-132b84d3651b`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if tail < 0 || tail > mostTail {
				return &usageError{command: c.CommandPath(), err: fmt.Errorf("--tail %d is not a number from 0 to %d", tail, mostTail)}
			}
			if follow && tail > 0 && f.json {
				return &usageError{command: c.CommandPath(), err: errors.New("--tail prints lines and --follow events, so --json can't be given with both; leave one of the three out")}
			}
			r, err := f.where.mustOpen("mayfly logs")
			if err != nil {
				return err
			}
			defer r.Close()
			after, emit := int64(0), func(view show.View) func(run.Event) { return view.Event }
			if q.Find != "" || tail > 0 {
				q.Line, q.Lines = -tail, tail
				page, err := printLines(c.Context(), s, r, args[0], q, f.json)
				if err != nil || !follow {
					return err
				}
				after, emit = page.Event, func(view show.View) func(run.Event) { return without(page.Skip, view.Event) }
			}
			one, err := r.Run(c.Context(), r.Project, args[0])
			if err != nil {
				return err
			}
			if tail == 0 && c.Flags().Changed("tail") {
				if !follow {
					return nil
				}
				if after = one.Events; !one.Finished.IsZero() {
					after-- // the last one is the result
				}
			}
			view, err := f.remoteView(c.Context(), s, r, one)
			if err != nil {
				return err
			}
			if !follow {
				return printSoFar(c.Context(), view, func(ctx context.Context, emit func(run.Event)) error {
					return r.SoFar(ctx, r.Project, args[0], emit)
				})
			}
			result, err := r.Await(c.Context(), args[0], after, emit(view), func(err error) {
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
	c.Flags().Int64Var(&tail, "tail", 0, fmt.Sprintf("only the last `N` lines, at most %d", mostTail))
	c.Flags().StringVar(&q.Find, "find", "", "only the lines that have this `TEXT`, with their numbers; upper and lower case are the same")
	exclusive(c, "follow", "find")
	exclusive(c, "tail", "find")
	f.where.add(c.Flags())
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print only the tool's own output")
	jsonFlag(c.Flags(), &f.json, "print events as JSON, one per line")
	return c
}

// mostTail is how many lines a server gives at once.
const mostTail = 5000

// without leaves out the output up to a number of line breaks.
func without(breaks int64, emit func(run.Event)) func(run.Event) {
	return func(e run.Event) {
		if e.Log == nil || breaks == 0 {
			emit(e)
			return
		}
		text := e.Log.Bytes()
		for ; breaks > 0; breaks-- {
			_, rest, ok := bytes.Cut(text, []byte("\n"))
			if !ok {
				return
			}
			text = rest
		}
		if len(text) > 0 {
			e.Log = run.NewLog(e.Log.Stream, text)
			emit(e)
		}
	}
}

// printLines prints a window of a log, or what was found in it with the numbers of the lines. It returns the last page of it.
func printLines(ctx context.Context, s streams, r *remote.Remote, id string, q api.LogQuery, asJSON bool) (*api.LogPage, error) {
	q.Line, q.Lines = cmp.Or(q.Line, 1), cmp.Or(q.Lines, 500)
	for {
		page, err := r.Log(ctx, r.Project, id, q)
		if err != nil {
			return nil, err
		}
		for _, l := range page.Lines {
			if err := printLine(s, l, q.Find != "", asJSON); err != nil {
				return nil, err
			}
		}
		if page.Next == 0 {
			return page, nil
		}
		if q.Line < 0 {
			q.Line = max(1, q.Line+page.Total+1)
		}
		if q.Find == "" {
			q.Lines -= page.Next - q.Line
		}
		q.Line = page.Next
	}
}

func printLine(s streams, l api.LogLine, numbered, asJSON bool) error {
	w := s.out
	switch {
	case asJSON:
		return printJSONLine(w, l)
	case numbered:
		_, err := fmt.Fprintf(w, "%d: %s\n", l.Line, l.Text)
		return err
	case l.Stream == "stderr":
		w = s.err
	}
	end := "\n"
	if l.More {
		end = ""
	}
	_, err := io.WriteString(w, l.Text+end)
	return err
}

// printSoFar shows events, and how the run ended if it has.
func printSoFar(ctx context.Context, view show.View, events func(context.Context, func(run.Event)) error) error {
	var result *run.Result
	err := events(ctx, func(e run.Event) {
		if e.Result != nil && e.Step == "" {
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
		Long: `Run on a server the same as an earlier run: the same definition and inputs, also if the tool has a newer version. Flags change single
inputs, variables and settings; what they don't name stays as it was. Secrets that the earlier run was given with --secret aren't kept:
give them again.`,
		Example: `  mayfly rerun 01a20974-721d-7515-b4bb-132b84d3651b
  mayfly rerun 01a20974-721d-7515-b4bb-132b84d3651b --arg version=1.3 --memory 1Gi`,
		RunE: func(c *cobra.Command, args []string) error {
			changes, err := f.values()
			var wrong *usageError
			if errors.As(err, &wrong) { // it names mayfly run
				err = &usageError{command: c.CommandPath(), err: wrong.err}
			}
			if err != nil {
				return err
			}
			if changes.Secrets, err = f.givenSecrets(c.Context(), s, c.CommandPath()); err != nil {
				return err
			}
			r, err := f.where.mustOpen("mayfly rerun")
			if err != nil {
				return err
			}
			defer r.Close()
			one, err := r.Rerun(c.Context(), r.Project, args[0], changes)
			if err != nil {
				return err
			}
			return f.accepted(c.Context(), s, r, one)
		},
	}
	f.addValues(c.Flags())
	f.addSecrets(c.Flags())
	f.where.add(c.Flags())
	c.Flags().BoolVar(&f.detach, "detach", false, "print the run's id, with --json the run, and don't wait for it")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print only the tool's own output")
	jsonFlag(c.Flags(), &f.json, "print events as JSON, one per line")
	return c
}
