package cli

import (
	"errors"
	"os"
	"strings"

	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Both are more than Linux passes to a program in practice (execve(2)).
const (
	maxEnvFile      = 4 << 20
	maxEnvVariables = 10_000
)

// readEnvFile puts the variables of --env-file before those of --env, which win.
func (f *runFlags) readEnvFile() error {
	if f.envFile == "" {
		return nil
	}
	file, err := os.Open(f.envFile)
	if err != nil {
		return runUsage("--env-file: %w", err)
	}
	defer file.Close()
	data, err := document.Read(file, maxEnvFile)
	if errors.Is(err, document.ErrTooLarge) {
		return runUsage("--env-file %s is larger than %d bytes, more than Linux passes to a program; pass large values as files", f.envFile, maxEnvFile)
	}
	if err != nil {
		return runUsage("--env-file: %w", err)
	}
	more, err := parseEnvFile(f.envFile, string(data))
	if err != nil {
		return err
	}
	f.env = append(more, f.env...)
	return nil
}

// parseEnvFile returns the variables of a file in the form of --env: NAME=VALUE, or NAME to pass on the variable of this process.
// It leaves out empty lines, lines that begin with #, and the export before a name and the quotes around a value that .env
// files have. Errors repeat nothing of a line: such files hold credentials, and what isn't a variable may be a part of one.
func parseEnvFile(file, text string) ([]string, error) {
	var out []string
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if text := strings.TrimSpace(line); text == "" || text[0] == '#' {
			continue
		}
		name, value, given := strings.Cut(strings.TrimPrefix(strings.TrimLeft(line, " \t"), "export "), "=")
		if name = strings.TrimSpace(name); !tool.ValidEnvName(name) {
			return nil, runUsage("%s:%d: the line is not NAME=VALUE, with letters, digits and _ in NAME", file, number)
		}
		if len(out) == maxEnvVariables {
			return nil, runUsage("--env-file %s has more than %d variables; leave out those that the tool doesn't need", file, maxEnvVariables)
		}
		if !given {
			if _, given = os.LookupEnv(name); !given {
				return nil, runUsage("%s:%d: the line has no value, and there is no variable of that name here to pass on; write NAME=VALUE", file, number)
			}
			out = append(out, name)
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		out = append(out, name+"="+value)
	}
	return out, nil
}
