package cli

import (
	"fmt"
	"io"

	"github.com/mayfly-run/mayfly/internal/tool"
)

// maxDefinitionBytes is more than a definition may have, so that parsing it says so.
const maxDefinitionBytes = 4 << 20

// readDefinition reads a definition from standard input.
func readDefinition(in io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxDefinitionBytes))
	if err != nil {
		return nil, fmt.Errorf("read the definition from standard input: %w", err)
	}
	return data, nil
}

// loadDefinition reads the tool or workflow that the command line names. A workflow's tools are found and read, too.
// text is the definition itself where it came from standard input.
func loadDefinition(in io.Reader, name string) (def *tool.Definition, text string, err error) {
	if name == "-" {
		data, err := readDefinition(in)
		if err != nil {
			return nil, "", err
		}
		text = string(data)
		def, err = tool.ParseDefinition("-", data)
		if err != nil {
			return nil, "", err
		}
	} else {
		path, err := toolPath(name)
		if err != nil {
			return nil, "", err
		}
		if def, err = tool.LoadDefinition(path); err != nil {
			return nil, "", err
		}
	}
	if def.Workflow != nil {
		return def, text, def.Workflow.Resolve()
	}
	return def, text, def.Tool.ReadScript()
}
