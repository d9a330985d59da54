package cli

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/mayfly-run/mayfly/internal/tool"
)

// maxEnvFile is more than the variables and arguments of a program may have (execve(2)).
const maxEnvFile = 4 << 20

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
	data, err := io.ReadAll(io.LimitReader(file, maxEnvFile+1))
	if err != nil {
		return runUsage("--env-file: %w", err)
	}
	if len(data) > maxEnvFile {
		return runUsage("--env-file %s has more than %d bytes, and a program takes fewer", f.envFile, maxEnvFile)
	}
	more, err := parseEnvFile(f.envFile, string(data))
	if err != nil {
		return err
	}
	f.env = append(more, f.env...)
	return nil
}

// parseEnvFile reads the lines NAME=VALUE, or NAME to pass on this one, of a file as --env has them. Empty lines and those
// that begin with # are left out, and so are an export and a pair of quotes around a value, which .env files have. Errors
// repeat no value: such files hold credentials.
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
			if !given {
				name = "the line" // which may be the rest of a value
			} else {
				name = strconv.Quote(name)
			}
			return nil, runUsage("%s:%d: %s is not the name of a variable; write NAME=VALUE, with letters, digits and _ in NAME", file, number, name)
		}
		if !given {
			if _, given = os.LookupEnv(name); !given {
				return nil, runUsage("%s:%d: there is no variable %s here; write %s=VALUE", file, number, name, name)
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
