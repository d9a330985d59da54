package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/textsafe"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// This file answers what people type who know docker, kubectl or gh with what it is called here.

// otherNames are commands of other programs, and what to use here. A command below another one follows the other's name.
var otherNames = map[string]string{
	"images":  "mayfly image ls",
	"pull":    "mayfly image pull IMAGE",
	"load":    "mayfly image load FILE",
	"rmi":     "mayfly image rm IMAGE",
	"save":    "mayfly image save IMAGE",
	"inspect": "mayfly image inspect IMAGE",
	"logout":  "docker logout; mayfly image pull uses its credentials",
	"build":   "docker build and docker save, then mayfly image load FILE",
	"info":    "mayfly doctor",
	"up":      "mayfly run FILE",
	"start":   "mayfly run FILE",
	"list":    "mayfly ls",
	"prune":   "mayfly image prune",
	"ps":      "mayfly runs (workflows only)",
	"logs":    "mayfly run --json FILE > run.jsonl to keep its output",
	"exec":    "mayfly shell RUN -- COMMAND (of a run that --keep-on-failure kept)",
	"attach":  "mayfly shell RUN (of a run that --keep-on-failure kept)",
	"rm":      "mayfly shell --remove RUN (of a run that --keep-on-failure kept)",
	"stop":    "Ctrl-C where it was started",
	"kill":    "Ctrl-C twice where it was started",
	"check":   "mayfly validate FILE",
	"lint":    "mayfly validate FILE",
	"new":     "mayfly init NAME",
	"create":  "mayfly init NAME",
	"tools":   "mayfly ls",
	"apply":   "mayfly run FILE",
	"get":     "mayfly ls for tools and workflows, mayfly runs for runs",

	"image delete":  "mayfly image rm IMAGE",
	"image remove":  "mayfly image rm IMAGE",
	"runs list":     "mayfly runs",
	"runs ls":       "mayfly runs",
	"runs delete":   "mayfly runs rm RUN",
	"runs remove":   "mayfly runs rm RUN",
	"secret add":    "mayfly secret set NAME",
	"secret create": "mayfly secret set NAME",
	"secret delete": "mayfly secret rm NAME",
	"secret get":    "mayfly secret ls for the names; only tools get the values",
	"secret remove": "mayfly secret rm NAME",
	"secret show":   "mayfly secret ls for the names; only tools get the values",
}

// unknownCommand returns the error for a command that doesn't exist, of mayfly or below one of its commands.
func unknownCommand(parent *cobra.Command, name string) error {
	hint := ""
	path := strings.TrimPrefix(parent.CommandPath()+" "+name, parent.Root().Name()+" ")
	if here, known := otherNames[path]; known {
		hint = "; use " + here
	} else if !parent.HasParent() && isDefinition(name) {
		hint = fmt.Sprintf("; did you mean mayfly run %s?", name)
	} else if near := nearCommand(parent, name); near != "" {
		hint = fmt.Sprintf("; did you mean %s %s?", parent.CommandPath(), near)
	}
	return &usageError{command: parent.CommandPath(), err: fmt.Errorf("unknown command %q%s", name, hint)}
}

// nearCommand returns the command below parent that a word was probably meant to be: the nearest, or one that begins with
// it, or "".
func nearCommand(parent *cobra.Command, word string) string {
	var names []string
	begin := ""
	for _, c := range parent.Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		names = append(names, c.Name())
		if begin == "" && len(word) > 1 && strings.HasPrefix(c.Name(), strings.ToLower(word)) {
			begin = c.Name()
		}
	}
	if near := shape.Nearest(word, names); near != "" {
		return near
	}
	return begin
}

// isDefinition reports whether a word that isn't a command is something to run.
func isDefinition(name string) bool {
	found, _, err := toolPath(name)
	if err != nil {
		return false
	}
	ext := filepath.Ext(found.File)
	return ext == ".yaml" || ext == ".yml"
}

const (
	noMounts = "folders of this machine can't be mounted; volumes copy in a file or folder beside the tool's file: [{name: NAME, file: PATH, mount_path: /PATH}]"
	inTool   = "set retry: {attempts: N} in the tool"
	noValue  = "don't put a value on the command line, where others can see it; pass it on standard input, with --from env:VARIABLE or with --from file:PATH"
	ownShell = "a shell always has this terminal; leave the flag out"
	noPorts  = "a tool can't be reached from outside its sandbox, so there are no ports to publish"
)

// otherFlags are the long and short flags of other programs that run something, and what to use here. The key of a flag of a
// command other than run begins with the command.
var otherFlags = map[string]string{
	"v": noMounts, "volume": noMounts, "mount": noMounts,
	"p": noPorts, "publish": noPorts, "port": noPorts,
	"entrypoint": "set command in the tool",
	"workdir":    "set working_dir in the tool",
	"cap-add":    "set security: {capabilities: […]} in the tool",
	"read-only":  "the root is read-only unless the tool sets security: {read_only: false}",
	"restart":    inTool,
	"retry":      inTool,
	"retries":    inTool,
	"w":          "set working_dir in the tool",
	"m":          "the flag here is --memory",
	"u":          "the flag here is --user",
	"net":        "the flag here is --network, with none, public or open",
	"var":        "give an input as --arg NAME=VALUE",
	"set":        "give an input as --arg NAME=VALUE",
	"input":      "give an input as --arg NAME=VALUE",
	"param":      "give an input as --arg NAME=VALUE",
	"cpus":       "the flag here is --cpu",
	"privileged": "no tool is privileged; set security: {capabilities: root} in the tool for apt, su and the like",
	"gpus":       "tools get no devices of this machine, so no GPUs",
	"device":     "tools get no devices of this machine",
	"platform":   "images run on this machine's platform; mayfly image pull --platform pulls for another",
	"d":          "a run ends with its command, which prints to this terminal",
	"name":       "set name in the tool",
	"label":      "set labels in the tool",
	"rm":         "a sandbox is always removed",
	"detach":     "a run ends with its command",

	"shell rm":          "the flag here is --remove",
	"shell i":           ownShell,
	"shell t":           ownShell,
	"shell tty":         ownShell,
	"shell interactive": ownShell,
	"secret set value":  noValue,
}

// flagError returns the error for a wrong flag, or for an unknown command before it.
func flagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); len(words) > 0 && cmd.HasAvailableSubCommands() {
		return unknownCommand(cmd, words[0])
	}
	return &usageError{command: cmd.CommandPath(), err: explainFlag(cmd, err)}
}

// explainFlag adds what to use instead of an unknown flag.
func explainFlag(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return err
	}
	name, long := missing.GetSpecifiedName(), missing.GetSpecifiedShortnames() == ""
	asked, input := name, ""
	if cmd.Name() != "run" {
		asked = strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ") + " " + name
	} else if long {
		input = nearInput(cmd.Flags().Args(), name)
	}
	here, known := otherFlags[asked]
	switch {
	case input != name && known:
		return fmt.Errorf("%w; %s", err, here)
	case !long:
		return err
	case name == "format" && cmd.Flags().Lookup("json") != nil:
		return fmt.Errorf("%w; the flag here is --json", err)
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := shape.Nearest(name, names); near != "" && input != name {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	if input != "" {
		return fmt.Errorf("%w; give an input of the tool as --arg %s=VALUE", err, input)
	}
	return err
}

// nearInput returns the input that a flag most likely means, of the tool or workflow before it on the command line.
func nearInput(args []string, name string) string {
	if len(args) == 0 || args[0] == "-" {
		return ""
	}
	def, err := loadNamed(args[0])
	if err != nil {
		return ""
	}
	var inputs []tool.Arg
	if def.Tool != nil {
		inputs = def.Tool.Args
	} else {
		inputs = def.Workflow.Inputs
	}
	var names []string
	for _, a := range inputs {
		names = append(names, a.Name)
	}
	return shape.Nearest(name, names)
}

// explainArguments says how to write the words that follow the file of `mayfly run`.
func explainArguments(args []string) error {
	if len(args) > 1 && strings.Contains(args[1], "=") {
		return fmt.Errorf("give %q as an argument: mayfly run %s --arg %s", args[1], args[0], args[1])
	}
	if len(args) > 1 {
		why := fmt.Errorf("mayfly run takes one file, folder or name, not %d; set a tool's command in its file: command: […]", len(args))
		if _, err := os.Stat(args[0]); err != nil {
			why = fmt.Errorf("%w; if %s is an image: mayfly run --image %s -- %s …", why, args[0], args[0], args[1])
		}
		return why
	}
	return errors.New("the file, the folder or the name of a tool or workflow is missing")
}

// explainMissing adds the file that was probably meant to the error for a definition that doesn't exist.
func explainMissing(name string, err error) error {
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var missing *definition.NotFoundError
	byName := errors.As(err, &missing)
	if byName && missing.Nearest != "" {
		return err
	}
	dir, base := filepath.Split(name)
	entries, _ := os.ReadDir(filepath.Clean(dir)) // without it there is nothing to suggest
	files := map[string]string{}                  // by their names without .yaml or .yml, and folders
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
			files[strings.TrimSuffix(e.Name(), ext)] = e.Name()
		} else if !e.Type().IsRegular() && files[e.Name()] == "" {
			files[e.Name()] = e.Name()
		}
	}
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	near := files[stem]
	if near == "" {
		near = files[shape.Nearest(stem, slices.Collect(maps.Keys(files)))]
	}
	switch {
	case near == "" || near == base || !isDefinition(dir+near):
		return err
	case byName:
		missing.Nearest = dir + near
		return err
	}
	return fmt.Errorf("%w; did you mean %s?", err, textsafe.Line([]byte(dir+near)))
}

// explainInputs adds to the error for inputs of a tool or workflow how to give those that are missing.
func explainInputs(inputs []tool.Arg, environment []tool.EnvVar, err error) error {
	var wrong *tool.InputError
	if !errors.As(err, &wrong) {
		return err
	}
	wrong.ExplainMissing(func(name string) string {
		how := fmt.Sprintf("give it as --arg %s=VALUE", name)
		i := slices.IndexFunc(inputs, func(a tool.Arg) bool { return a.Name == name })
		if slices.ContainsFunc(environment, func(v tool.EnvVar) bool { return v.Name == name || v.Name == inputs[i].Env }) {
			how = "--env sets a variable, not an argument; " + how
		}
		return how
	})
	return err
}
