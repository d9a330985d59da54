package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// version is set by the build (Makefile).
var version = "dev"

// Version returns this program's version, such as v1.2.0. It is dev in a program that the Makefile didn't build.
func Version() string { return version }

// Build says which build a program is. Its JSON is what "version --json" prints.
type Build struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// ThisBuild returns the build of the running program.
func ThisBuild() Build {
	return Build{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
}

// Line returns what "version" prints for the program with a name.
func (b Build) Line(name string) string {
	return fmt.Sprintf("%s %s %s/%s", name, b.Version, b.OS, b.Arch)
}

// PrintVersion writes the running program's answer to "version", or to "version --json" if asJSON is set. name is the name of the
// program.
func PrintVersion(w io.Writer, name string, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(ThisBuild())
	}
	_, err := fmt.Fprintln(w, ThisBuild().Line(name))
	return err
}

// AnswerVersion calls [PrintVersion] if the arguments are "version" or "version --json", and reports whether they are. It is for
// programs that have no other commands for people.
func AnswerVersion(w io.Writer, name string, args []string) (bool, error) {
	switch strings.Join(args, " ") {
	case "version":
		return true, PrintVersion(w, name, false)
	case "version --json":
		return true, PrintVersion(w, name, true)
	}
	return false, nil
}

// patience is how long a program may take to say its version. A program that takes longer is broken.
const patience = 10 * time.Second

// BuildOf returns the build of the program at a path, by executing it with "version --json".
func BuildOf(ctx context.Context, path string) (Build, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "version", "--json")
	cmd.WaitDelay = time.Second // a wrapper script may have started a program that holds the output open
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.As(err, &exit) && len(exit.Stderr) > 0:
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return Build{}, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	var b Build
	if err := json.Unmarshal(out, &b); err != nil || b.Version == "" {
		return Build{}, fmt.Errorf("%s doesn't say its version; install all programs from the same release", path)
	}
	return b, nil
}
