package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/remote"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
	"github.com/mayfly-run/mayfly/internal/workflow/graph"
)

func newGraphCommand(s streams) *cobra.Command {
	format := ""
	var w whereFlags
	c := &cobra.Command{
		Use:   "graph FILE|NAME|-",
		Short: "Draw the steps of a workflow",
		Long: `Draw the steps of a workflow and what each waits for: in the terminal, or as text for Mermaid or
Graphviz. With --server or --context, a NAME without / and .yaml is a workflow that the server has, or NAME@VERSION.`,
		Example: `  mayfly graph release.yaml
  mayfly graph release.yaml --format mermaid
  mayfly graph release.yaml --format dot | dot -Tsvg > release.svg`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			draw, ok := map[string]func(*workflow.Plan) string{"text": graph.Text, "mermaid": graph.Mermaid, "dot": graph.DOT}[format]
			if !ok {
				return &usageError{command: "mayfly graph", err: fmt.Errorf("--format %q is not text, mermaid or dot", format)}
			}
			r, err := w.given()
			if err != nil {
				return err
			}
			if r != nil {
				defer r.Close()
			}
			var def *definition.Definition
			if r != nil && isOfServer(args[0]) {
				asName(s, args[0])
				def, err = definitionOfServer(c.Context(), r, args[0])
			} else {
				def, _, err = loadDefinition(s.in, args[0])
			}
			if err != nil {
				return err
			}
			if def.Workflow == nil {
				return errors.New("this is a tool; only a workflow has steps to draw")
			}
			_, err = io.WriteString(s.out, draw(workflow.NewPlan(def.Workflow, nil)))
			return err
		},
	}
	w.add(c.Flags())
	c.Flags().StringVar(&format, "format", "text", "`FORMAT`: text, mermaid or dot")
	return c
}

// definitionOfServer reads a definition that a server has, without the tools that it names.
func definitionOfServer(ctx context.Context, r *remote.Remote, arg string) (*definition.Definition, error) {
	f, err := filesOf(ctx, r, arg)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(f.Files, func(one api.File) bool { return one.Path == f.Definition })
	if i < 0 {
		return nil, fmt.Errorf("the server has no file %q of %s", f.Definition, arg)
	}
	data, err := r.ReadVersionFile(ctx, f, f.Files[i])
	if err != nil {
		return nil, err
	}
	return definition.Parse(f.Definition, data)
}
