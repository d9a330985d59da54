package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/remote"
	"github.com/mayfly-run/mayfly/internal/workflow"
)

func newRunsCommand(s streams) *cobra.Command {
	var asJSON bool
	var w whereFlags
	var f runListFlags
	c := &cobra.Command{
		Use:   "runs",
		Short: "List the runs of a server, or those of workflows on this machine, which can be resumed",
		Long: `List the runs of workflows that have a journal on this machine, latest first. To continue one that
failed or was interrupted: mayfly run --resume RUN. The latest 100 are kept.

With a server, list its runs, latest first.`,
		Example: `  mayfly runs
  mayfly runs --server https://mayfly.example.com --status failed,lost --since 24h
  mayfly runs --label team=web --text "out of memory"
  mayfly run --resume 01a20974-721d-7515-b4bb-132b84d3651b
  mayfly runs rm 01a20974-721d-7515-b4bb-132b84d3651b`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter(time.Now())
			if err != nil {
				return &usageError{command: cmd.CommandPath(), err: err}
			}
			r, err := w.open()
			if err != nil {
				return err
			}
			if r != nil {
				defer r.Close()
				return listRemote(cmd.Context(), s, r, filter, asJSON)
			}
			if name := f.given(cmd.Flags()); name != "" {
				return &usageError{command: cmd.CommandPath(), err: fmt.Errorf("--%s is for the runs of a server; give --server or --context, or leave it out", name)}
			}
			h, err := host.Open()
			if err != nil {
				return err
			}
			list, err := h.Runs().List()
			if err != nil {
				return err
			}
			if asJSON {
				return printList(s.out, list)
			}
			w := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
			fmt.Fprintln(w, "RUN\tWORKFLOW\tSTATUS\tBEGAN\tSTEPS")
			for _, r := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", cell(r.ID), cell(r.Workflow), cell(string(r.Status)), ago(r.Began), stepCounts(r))
			}
			return w.Flush()
		},
	}
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	w.add(c.Flags())
	f.add(c.Flags())
	c.AddCommand(&cobra.Command{
		Use:     "rm RUN…",
		Short:   "Remove the journals and artifacts of runs",
		Example: "  mayfly runs rm 01a20974-721d-7515-b4bb-132b84d3651b",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, ids []string) error {
			h, err := host.Open()
			if err != nil {
				return err
			}
			store := h.Runs()
			for _, given := range ids {
				id, err := store.Find(given)
				if err != nil {
					return err
				}
				if err := store.Remove(id); err != nil {
					return err
				}
			}
			return nil
		},
	})
	return c
}

// runListFlags select runs of a server.
type runListFlags struct {
	runs         api.RunFilter
	since, until string
	labels       []string
}

func (f *runListFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.runs.Tool, "tool", "", "on a server: only runs of this `TOOL`")
	fl.StringSliceVar(&f.runs.Status, "status", nil, "on a server: only runs with this `STATUS`; may be repeated")
	fl.StringVar(&f.since, "since", "", "on a server: only runs that were accepted from `TIME` on: 2026-01-31, 2026-01-31T12:00:00Z, or 24h or 7d for the last 24 hours or 7 days")
	fl.StringVar(&f.until, "until", "", "on a server: only runs that were accepted before `TIME`, as for --since")
	fl.StringArrayVar(&f.labels, "label", nil, "on a server: only runs with the label `KEY=VALUE`; may be repeated")
	fl.StringVar(&f.runs.By, "by", "", "on a server: only runs that the token of this `NAME` asked for")
	fl.StringVar(&f.runs.Runner, "runner", "", "on a server: only runs that the runner of this `NAME` has or had last")
	fl.StringVar(&f.runs.Text, "text", "", "on a server: only runs whose tool, reason or id has this `TEXT`")
	fl.StringVar(&f.runs.Parent, "parent", "", "on a server: the runs of the steps of this workflow's `RUN`")
	fl.IntVar(&f.runs.Limit, "limit", 50, "on a server: how many runs, at most")
}

// given returns the name of a flag that was given, or "".
func (f *runListFlags) given(fl *pflag.FlagSet) (name string) {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	(&runListFlags{}).add(own)
	own.VisitAll(func(one *pflag.Flag) {
		if name == "" && fl.Changed(one.Name) {
			name = one.Name
		}
	})
	return name
}

// filter is what a server is asked for.
func (f *runListFlags) filter(now time.Time) (out api.RunFilter, err error) {
	out = f.runs
	if out.Limit < 1 {
		return out, fmt.Errorf("--limit %d must be at least 1", out.Limit)
	}
	if out.Labels, err = labels(f.labels); err != nil {
		return out, err
	}
	for _, one := range []struct {
		flag, text string
		at         *time.Time
	}{{"since", f.since, &out.Since}, {"until", f.until, &out.Until}} {
		if one.text == "" {
			continue
		}
		if *one.at, err = timeOrAgo(one.flag, one.text, now); err != nil {
			return out, err
		}
	}
	return out, nil
}

// labels reads --label KEY=VALUE.
func labels(list []string) (map[string]string, error) { return pairs("--label", "KEY=VALUE", list) }

// listRemote lists the runs of a server.
func listRemote(ctx context.Context, s streams, r *remote.Remote, filter api.RunFilter, asJSON bool) error {
	list, err := findRuns(ctx, s, r, filter)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSONLine(s.out, list)
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "RUN\tTOOL\tVERSION\tSTATUS\tACCEPTED\tBY\tRUNNER")
	for _, one := range list {
		version := "-"
		if one.Version > 0 {
			version = fmt.Sprint(one.Version)
		}
		runner := one.Runner
		if one.Waiting != "" {
			runner = "waits: " + one.Waiting
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", one.ID, cell(one.Tool), version, one.Status, ago(one.Accepted), cell(one.AcceptedBy), cell(runner))
	}
	return table.Flush()
}

// findRuns looks for runs on a server, which may take many requests, with the progress on the terminal, if there is one.
func findRuns(ctx context.Context, s streams, r *remote.Remote, filter api.RunFilter) ([]api.Run, error) {
	spin := spinner(s.err)
	defer spin.Stop()
	spin.Show("looking for runs on " + r.Server())
	list := []api.Run{}
	err := r.EachRun(ctx, r.Project, filter, func(one api.Run) error {
		list = append(list, one)
		spin.Show(fmt.Sprintf("looking for runs on %s  %d found", r.Server(), len(list)))
		return nil
	})
	return list, err
}

// stepCounts says how many steps of a run ended in which way.
func stepCounts(r workflow.Summary) string {
	text := fmt.Sprintf("%d succeeded", r.Succeeded)
	if r.Failed > 0 {
		text += fmt.Sprintf(", %d failed", r.Failed)
	}
	if r.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", r.Skipped)
	}
	return text
}
