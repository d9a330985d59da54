package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// This file knows what people type who come from docker, kubectl or gh, and says what it is called here.

// otherNames are commands of other programs.
var otherNames = map[string]string{
	"images": "mayfly image ls",
	"pull":   "mayfly image pull IMAGE",
	"load":   "mayfly image load FILE",
	"rmi":    "mayfly image rm IMAGE",
	"prune":  "mayfly image prune",
	"ps":     "mayfly runs, for workflows; a tool's run ends with its command",
	"list":   "mayfly runs, for workflows",
	"logs":   "mayfly run --json FILE > run.jsonl, which has each line of a run",
	"exec":   "mayfly shell RUN -- COMMAND, in a sandbox that --keep-on-failure keeps",
	"attach": "mayfly shell RUN",
	"rm":     "mayfly shell --remove RUN, for a sandbox that was kept",
	"stop":   "Ctrl-C where it runs",
	"kill":   "Ctrl-C where it runs, twice",
	"check":  "mayfly validate FILE",
	"lint":   "mayfly validate FILE",
	"apply":  "mayfly run FILE",
}

// unknownCommand is the error of a command that there isn't.
func unknownCommand(root *cobra.Command, name string) error {
	hint := ""
	if here, known := otherNames[name]; known {
		hint = "; did you mean " + here + "?"
	} else if near := root.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean mayfly %s?", near[0])
	}
	return &usageError{command: "mayfly", err: fmt.Errorf("unknown command %q%s", name, hint)}
}

// explainRun says what a wrong flag of `mayfly run` is called here.
func explainRun(err error) error {
	text := err.Error()
	if strings.HasPrefix(text, "unknown shorthand flag: 'v'") || strings.HasPrefix(text, "unknown flag: --volume") || strings.HasPrefix(text, "unknown flag: --mount") {
		return errors.New("folders of this machine aren't mounted; a file or folder beside the tool's own is copied in by its volumes: [{name: NAME, file: PATH, mount_path: /PATH}]")
	}
	if strings.HasPrefix(text, "unknown shorthand flag: 'p'") || strings.HasPrefix(text, "unknown flag: --publish") || strings.HasPrefix(text, "unknown flag: --port") {
		return errors.New("a tool serves nobody outside of its sandbox, so there are no ports to publish")
	}
	name, found := strings.CutPrefix(text, "unknown flag: --")
	if !found {
		return err
	}
	for flag, key := range map[string]string{
		"entrypoint": "command: in the tool", "workdir": "working_dir: in the tool", "cap-add": "security: {capabilities: […]} in the tool",
		"read-only": "security: {read_only: …} in the tool; it is so by default", "restart": "retry: in the tool", "name": "name: in the tool",
		"rm": "nothing: a sandbox is always removed", "detach": "nothing: a run ends with the command", "label": "labels: in the tool",
	} {
		if name == flag {
			return fmt.Errorf("%w; here it is %s", err, key)
		}
	}
	if name != "" && !strings.Contains(name, "-") {
		return fmt.Errorf("%w; an input of the tool is given as --arg %s=VALUE", err, name)
	}
	return err
}

// explainArguments says what further words after the file of `mayfly run` are called here.
func explainArguments(args []string) error {
	if len(args) > 1 && strings.Contains(args[1], "=") {
		return fmt.Errorf("%q is given as --arg: mayfly run %s --arg %s", args[1], args[0], args[1])
	}
	if len(args) > 1 {
		return fmt.Errorf("one file or name is run, and %d are given; a command stands in the file: command: […]", len(args))
	}
	return errors.New("the file, the folder or the name of a tool or workflow is missing")
}
