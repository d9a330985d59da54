package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/remote"
	"github.com/mayfly-run/mayfly/internal/workflow"
)

func newRunsCommand(s streams) *cobra.Command {
	var asJSON bool
	var w whereFlags
	var filter api.RunFilter
	c := &cobra.Command{
		Use:   "runs",
		Short: "List the runs of a server, or those of workflows on this machine, which can be resumed",
		Long: `List the runs of workflows that have a journal on this machine, latest first. To continue one that
failed or was interrupted: mayfly run --resume RUN. The latest 100 are kept.

With a server, list its runs, latest first.`,
		Example: `  mayfly runs
  mayfly runs --server https://mayfly.example.com --status failed,lost
  mayfly run --resume 01a20974-721d-7515-b4bb-132b84d3651b
  mayfly runs rm 01a20974-721d-7515-b4bb-132b84d3651b`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := w.open()
			if err != nil {
				return err
			}
			if r != nil {
				defer r.Close()
				return listRemote(cmd.Context(), s, r, filter, asJSON)
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
	c.Flags().StringVar(&filter.Tool, "tool", "", "on a server: only runs of this `TOOL`")
	c.Flags().StringSliceVar(&filter.Status, "status", nil, "on a server: only runs with this `STATUS`; may be repeated")
	c.Flags().IntVar(&filter.Limit, "limit", 50, "on a server: how many runs, at most")
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

// listRemote lists the runs of a server.
func listRemote(ctx context.Context, s streams, r *remote.Remote, filter api.RunFilter, asJSON bool) error {
	list, err := r.Runs(ctx, r.Project, filter)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSONLine(s.out, list.Runs)
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "RUN\tTOOL\tVERSION\tSTATUS\tACCEPTED\tBY\tRUNNER")
	for _, one := range list.Runs {
		version := "-"
		if one.Version > 0 {
			version = fmt.Sprint(one.Version)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", one.ID, cell(one.Tool), version, one.Status, ago(one.Accepted), cell(one.AcceptedBy), cell(one.Runner))
	}
	return table.Flush()
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
