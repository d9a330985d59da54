package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/remote"
)

func newArtifactsCommand(s streams) *cobra.Command {
	var w whereFlags
	var asJSON bool
	var output string
	c := &cobra.Command{
		Use:   "artifacts RUN [NAME]",
		Short: "List the artifacts of a run on a server, or get one",
		Long: `List the artifacts of a run on a server; of a workflow, those of its steps. With a NAME, get that artifact: a tar archive of the folder
that the step has made.`,
		Example: `  mayfly artifacts 01a20974-721d-7515-b4bb-132b84d3651b
  mayfly artifacts 01a20974-721d-7515-b4bb-132b84d3651b site -o site.tar
  mayfly artifacts 01a20974-721d-7515-b4bb-132b84d3651b site -o - | tar -x`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && output != "":
				return &usageError{command: c.CommandPath(), err: errors.New("--output is for one artifact; give its name after the run")}
			case len(args) == 2 && asJSON:
				return &usageError{command: c.CommandPath(), err: errors.New("--json is for the list; leave it or the artifact's name out")}
			}
			r, err := w.mustOpen(c.CommandPath())
			if err != nil {
				return err
			}
			defer r.Close()
			all, err := r.Artifacts(c.Context(), r.Project, args[0])
			switch {
			case err != nil:
				return err
			case len(args) == 2:
				return getArtifact(c.Context(), s, r, all, args[0], args[1], output)
			case asJSON:
				return printList(s.out, all)
			}
			table := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
			fmt.Fprintln(table, "NAME\tSTEP\tRUN\tDIGEST")
			for _, one := range all {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", cell(one.Name), cell(cmp.Or(one.Step, "-")), cell(one.Run), cell(one.Digest))
			}
			return table.Flush()
		},
	}
	w.add(c.Flags())
	c.Flags().StringVarP(&output, "output", "o", "", "`FILE` for the archive, or - for standard output; by default NAME.tar")
	c.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return c
}

// getArtifact writes an artifact to a file.
func getArtifact(ctx context.Context, s streams, r *remote.Remote, all []api.Artifact, id, name, output string) error {
	var found []api.Artifact
	for _, one := range all {
		if one.Name == name {
			found = append(found, one)
		}
	}
	switch {
	case len(found) == 0:
		return fmt.Errorf("run %s has no artifact %s; list those that it has: mayfly artifacts %s %s", id, name, id, r.Flags())
	case len(found) > 1:
		return fmt.Errorf("%d steps of run %s have made an artifact %s; give the run of one of them: mayfly artifacts %s %s", len(found), id, name, id, r.Flags())
	}
	if output == "-" {
		return r.WriteArtifact(ctx, found[0], s.out)
	}
	path := cmp.Or(output, name+".tar")
	if err := writeFile(path, func(w io.Writer) error { return r.WriteArtifact(ctx, found[0], w) }); err != nil {
		return err
	}
	if _, info, err := atomicfile.Target(path); err != nil || !info.Mode().IsRegular() {
		return err // the archive may be in standard output
	}
	_, err := fmt.Fprintln(s.out, shown(path))
	return err
}
