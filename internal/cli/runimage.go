package cli

import (
	"encoding/json"
	"errors"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// This file is `mayfly run --image IMAGE -- COMMAND…`, which runs without a file.

// imageTool returns the tool of an image and a command, and its text; without a command the image's own runs.
func imageTool(ref string, command []string) (*definition.Definition, string, error) {
	file := map[string]any{"name": "command", "image": ref}
	if len(command) > 0 {
		file["command"] = command
	}
	data, err := json.Marshal(file)
	if err != nil {
		return nil, "", err
	}
	def, err := definition.Parse("command line", data)
	var wrong *shape.Error
	if errors.As(err, &wrong) {
		text := wrong.Problems[0].Text
		if hint := wrong.Problems[0].Hint; hint != "" {
			text += "; " + hint
		}
		return nil, "", runUsage("%s", text)
	}
	return def, string(data), err
}
