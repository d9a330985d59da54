package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This file knows what people type who come from docker, kubectl or gh, and says what it is called here.

// otherNames are commands of other programs, and what to use here.
var otherNames = map[string]string{
	"images": "mayfly image ls",
	"pull":   "mayfly image pull IMAGE",
	"load":   "mayfly image load FILE",
	"rmi":    "mayfly image rm IMAGE",
	"prune":  "mayfly image prune",
	"ps":     "mayfly runs (workflows only)",
	"list":   "mayfly runs (workflows only)",
	"logs":   "mayfly run --json FILE > run.jsonl to keep its output",
	"exec":   "mayfly shell RUN -- COMMAND (of a run that --keep-on-failure kept)",
	"attach": "mayfly shell RUN (of a run that --keep-on-failure kept)",
	"rm":     "mayfly shell --remove RUN (of a run that --keep-on-failure kept)",
	"stop":   "Ctrl-C where it was started",
	"kill":   "Ctrl-C twice where it was started",
	"check":  "mayfly validate FILE",
	"lint":   "mayfly validate FILE",
	"apply":  "mayfly run FILE",
}

// unknownCommand is the error of a command that there isn't.
func unknownCommand(root *cobra.Command, name string) error {
	hint := ""
	if here, known := otherNames[name]; known {
		hint = "; use " + here
	} else if near := root.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean mayfly %s?", near[0])
	}
	return &usageError{command: "mayfly", err: fmt.Errorf("unknown command %q%s", name, hint)}
}

const (
	noMounts = "folders of this machine can't be mounted; volumes copy in a file or folder beside the tool's file: [{name: NAME, file: PATH, mount_path: /PATH}]"
	noPorts  = "a tool can't be reached from outside its sandbox, so there are no ports to publish"
)

// otherFlags are flags of other programs that run something, long and short ones, and what is true here.
var otherFlags = map[string]string{
	"v": noMounts, "volume": noMounts, "mount": noMounts,
	"p": noPorts, "publish": noPorts, "port": noPorts,
	"entrypoint": "set command in the tool",
	"workdir":    "set working_dir in the tool",
	"cap-add":    "set security: {capabilities: […]} in the tool",
	"read-only":  "the root is read-only unless the tool sets security: {read_only: false}",
	"restart":    "set retry in the tool",
	"name":       "set name in the tool",
	"label":      "set labels in the tool",
	"rm":         "a sandbox is always removed",
	"detach":     "a run ends with its command",
}

// explainRun says what is here instead of a flag that `mayfly run` doesn't have.
func explainRun(err error) error {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return err
	}
	name := missing.GetSpecifiedName()
	if here, known := otherFlags[name]; known {
		return fmt.Errorf("%w; %s", err, here)
	}
	if missing.GetSpecifiedShortnames() == "" && !strings.Contains(name, "-") {
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
		return fmt.Errorf("one file, folder or name can be run, not %d; a tool's command is set in its file: command: […]", len(args))
	}
	return errors.New("the file, the folder or the name of a tool or workflow is missing")
}
