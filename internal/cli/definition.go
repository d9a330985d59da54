package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// maxDefinitionBytes is more than a definition may have, so that the parser reports one that is too large.
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
// text is the definition itself if it came from standard input.
func loadDefinition(in io.Reader, name string) (def *definition.Definition, text string, err error) {
	if def, text, err = parseDefinition(in, name); err == nil && def.Workflow != nil {
		err = def.Workflow.Resolve()
	}
	return def, text, err
}

// parseDefinition is [loadDefinition] without the tools that a workflow names: a server may have them.
func parseDefinition(in io.Reader, name string) (def *definition.Definition, text string, err error) {
	if name == "-" {
		data, err := readDefinition(in)
		if err != nil {
			return nil, "", err
		}
		text = string(data)
		if def, err = definition.Parse("-", data); err != nil {
			return nil, "", err
		}
	} else if def, err = loadNamed(name); err != nil {
		return nil, "", err
	}
	if def.Tool != nil {
		err = def.Tool.ReadFiles()
	}
	return def, text, err
}

// loadNamed reads the tool or workflow given by path, by name or by folder.
func loadNamed(name string) (*definition.Definition, error) {
	found, _, err := toolPath(name)
	if err != nil {
		return nil, explainMissing(name, err)
	}
	def, err := found.Load()
	return def, explainMissing(name, err)
}

// toolPath returns the file of a tool given by path, by name or by folder. What looks like a path is one. A folder doesn't hide
// the tool of its name, since the folder of a tool's files often has that name. byName says that a search found it.
func toolPath(name string) (found definition.Found, byName bool, err error) {
	info, err := os.Stat(name)
	folder := err == nil && info.IsDir()
	switch {
	case folder && definition.IsPath(name):
		found.File, err = definition.InFolder(name)
		return found, false, err
	case err == nil && !folder, definition.IsPath(name):
		return definition.Found{File: name}, false, nil
	}
	found, err = definition.Find(".", name)
	if folder && err != nil && !untrusted(err) {
		found, err = definition.FindIn(".", name)
		return found, false, err
	}
	return found, true, err
}
