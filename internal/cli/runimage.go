package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mayfly-run/mayfly/internal/tool"
)

// This file is `mayfly run --image IMAGE -- COMMAND…`, which runs without a file.

// imageTool is the tool of an image and a command, none for the image's own.
func imageTool(ref string, command []string) (*tool.Definition, error) {
	file := map[string]any{"image": ref}
	if len(command) > 0 {
		file["command"] = command
	}
	data, err := json.Marshal(file)
	if err != nil {
		return nil, err
	}
	def, err := tool.ParseDefinition("command line", data)
	var wrong *tool.Error
	if errors.As(err, &wrong) {
		return nil, runUsage("--image: %s", wrong.Problems[0].Text)
	}
	if err == nil {
		def.Tool.Name = "command"
	}
	return def, err
}

// readEnvFile reads the lines NAME=VALUE, or NAME to pass on this one, of a file as --env has them. Empty lines and those that
// begin with # are left out, and so are an export and a pair of quotes around a value, which .env files have.
func readEnvFile(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, runUsage("--env-file: %w", err)
	}
	var out []string
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if text := strings.TrimSpace(line); text == "" || text[0] == '#' {
			continue
		}
		name, value, given := strings.Cut(strings.TrimPrefix(strings.TrimLeft(line, " \t"), "export "), "=")
		if name = strings.TrimSpace(name); !tool.ValidEnvName(name) {
			return nil, runUsage("%s:%d: %q is not NAME=VALUE", file, number, line)
		}
		if !given {
			out = append(out, name)
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		out = append(out, fmt.Sprintf("%s=%s", name, value))
	}
	return out, nil
}
