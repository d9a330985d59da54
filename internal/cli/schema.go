package cli

import (
	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

func newSchemaCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema tool|workflow|test",
		Short: "Print the JSON Schema of a kind of file, for editors",
		Long: `Print the JSON Schema (2020-12) of a kind of file. Editors with the YAML language server use it
after a first line such as: # yaml-language-server: $schema=tool.schema.json`,
		Example: `  mayfly schema tool > tool.schema.json
  mayfly schema workflow > workflow.schema.json`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"tool", "workflow", "test"},
		RunE: func(_ *cobra.Command, args []string) error {
			schema := map[string]func() []byte{"tool": tool.Schema, "workflow": definition.Schema, "test": suite.Schema}[args[0]]
			_, err := s.out.Write(schema())
			return err
		},
	}
}
