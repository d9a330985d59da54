package cli

import (
	"encoding/json"
	"errors"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// This file is `mayfly run --image IMAGE -- COMMAND…`, which runs without a file.

// imageTool returns the tool of an image and a command; without a command the image's own runs.
func imageTool(ref string, command []string) (*definition.Definition, error) {
	file := map[string]any{"image": ref}
	if len(command) > 0 {
		file["command"] = command
	}
	data, err := json.Marshal(file)
	if err != nil {
		return nil, err
	}
	def, err := definition.Parse("command line", data)
	var wrong *shape.Error
	if errors.As(err, &wrong) {
		text := wrong.Problems[0].Text
		if hint := wrong.Problems[0].Hint; hint != "" {
			text += "; " + hint
		}
		return nil, runUsage("%s", text)
	}
	if err == nil {
		def.Tool.Name = "command"
	}
	return def, err
}
