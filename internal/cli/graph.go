package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/graph"
)

func newGraphCommand(s streams) *cobra.Command {
	format := ""
	c := &cobra.Command{
		Use:   "graph FILE|-",
		Short: "Draw the steps of a workflow",
		Long: `Draw the steps of a workflow and what each waits for: in the terminal, or as text for Mermaid or
Graphviz.`,
		Example: `  mayfly graph release.yaml
  mayfly graph release.yaml --format mermaid
  mayfly graph release.yaml --format dot | dot -Tsvg > release.svg`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			draw, ok := map[string]func(*workflow.Plan) string{"text": graph.Text, "mermaid": graph.Mermaid, "dot": graph.DOT}[format]
			if !ok {
				return &usageError{command: "mayfly graph", err: fmt.Errorf("--format %q is not text, mermaid or dot", format)}
			}
			def, _, err := loadDefinition(s.in, args[0])
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
	c.Flags().StringVar(&format, "format", "text", "`FORMAT`: text, mermaid or dot")
	return c
}
