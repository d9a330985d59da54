package tool

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// This file holds the tables: which keys a definition has, what each takes and what it means. They are functions and
// not variables so that a process that reads no definition doesn't pay for them.

func toolShape() shape[Tool] {
	return objectWithHints("a tool", []field[Tool]{
		bind("name", "The tool's name. Without one, the name of the file is taken.", text(schema{"pattern": namePattern}, checkName),
			func(t *Tool) *string { return &t.Name }),
		bind("description", "What the tool does, for people.", text(nil, checkPrintable),
			func(t *Tool) *string { return &t.Description }),
		bind("image", "OCI reference of the image to run, by tag or digest.", text(schema{"minLength": 1}, checkImage),
			func(t *Tool) *string { return &t.Image }),
		bind("command", "What to run: a list of the program and its arguments, or a line for sh -c.", commandShape(),
			func(t *Tool) **Command { return &t.Command }),
		bind("script", "A program to run instead of a command: its text (the #! line is honoured, sh -e is the default) or {file: …} from the tool's folder.", scriptShape(),
			func(t *Tool) **Script { return &t.Script }),
		bind("args", "The typed inputs that the tool takes. A tool without them takes any input as a variable of that name.", argsOfTool(),
			func(t *Tool) *[]Arg { return &t.Args }),
		bind("environment", "Variables, as a list of KEY=value or a mapping. A value that is exactly /secrets/NAME stands for that secret's value, unless a volume is mounted there.", environmentShape(),
			func(t *Tool) *[]EnvVar { return &t.Environment }),
		bind("volumes", "What is mounted: secrets, files of the tool's folder, empty directories, caches.", list("a volume", volumeShape()),
			func(t *Tool) *[]Volume { return &t.Volumes }),
		bind("resources", "Limits on what a run may use.", resourcesShape(),
			func(t *Tool) *Resources { return &t.Resources }),
		bind("security", "How the tool is confined.", securityShape(),
			func(t *Tool) *Security { return &t.Security }),
		networkField("What may be reached: none, public (no private networks), open, or a list of rules."),
		bind("working_dir", "Absolute path of the directory that the tool starts in.", text(schema{"pattern": "^/."}, checkAbsolute),
			func(t *Tool) *string { return &t.WorkingDir }),
		bind("timeout", "How long each attempt of a run may take, such as 30s, 5m or 1h30m.", timeoutShape(),
			func(t *Tool) *time.Duration { return &t.Timeout }),
		bind("retry", "How a failed run is repeated.", pointer(retryShape()),
			func(t *Tool) **Retry { return &t.Retry }),
		bind("outputs", "Names of the values that the tool writes to the file $MAYFLY_OUTPUT.", list("an output", text(schema{"pattern": envPattern}, checkEnvName)),
			func(t *Tool) *[]string { return &t.Outputs }),
		bind("labels", "Labels of the tool, for people and programs to find it by.", labelsShape(),
			func(t *Tool) *map[string]string { return &t.Labels }),
	}, hintsForTool, checkTool)
}

func commandShape() shape[*Command] {
	line := located(text(schema{"pattern": `\S`}, func(s string) (string, string) {
		if strings.TrimSpace(s) == "" {
			return "is empty", "leave the key out to run the image's own entrypoint"
		}
		return "", ""
	}), func(s string, p Position) *Command { return &Command{Shell: s, Position: p} })
	words := list("a word of the command", loose(nil))
	words.schema = schema{"type": "array", "items": words.schema["items"], "minItems": 1}
	readWords := words.read
	words.read = func(d *decoder, n *yaml.Node, label string) ([]string, bool) {
		argv, ok := readWords(d, n, label)
		if ok && (len(argv) == 0 || argv[0] == "") {
			d.report(n, "command has no program", "leave the key out to run the image's own entrypoint")
			return nil, false
		}
		return argv, ok
	}
	argv := located(words, func(argv []string, p Position) *Command { return &Command{Argv: argv, Position: p} })
	return byKind("text or a list of words", &line, &argv, nil)
}

func scriptShape() shape[*Script] {
	inline := located(text(schema{"pattern": `\S`}, func(s string) (string, string) {
		if strings.TrimSpace(s) == "" {
			return "is empty", "leave the key out to run the image's own entrypoint"
		}
		return "", ""
	}), func(s string, p Position) *Script { return &Script{Text: s, Position: p} })
	file := located(object("a script", []field[string]{
		needed(bind("file", "Path of the script inside the tool's folder.", text(schema{"minLength": 1}, checkInside()),
			func(s *string) *string { return s })),
	}, nil), func(s string, p Position) *Script { return &Script{File: s, Position: p} })
	return byKind("text or {file: …}", &inline, nil, &file)
}

func volumeShape() shape[Volume] {
	s := located(objectWithHints("a volume", []field[Volume]{
		needed(bind("name", "The volume's name.", text(schema{"pattern": filePattern}, checkFileName),
			func(v *Volume) *string { return &v.Name })),
		bind("secret", "Name of the secret whose value is mounted as a file.", text(schema{"pattern": secretPattern}, checkSecretName),
			func(v *Volume) *string { return &v.Secret }),
		bind("file", "Path of a file or folder inside the tool's folder, mounted read-only.", text(schema{"minLength": 1}, checkVolumeFile),
			func(v *Volume) *string { return &v.File }),
		bind("size", "Size of an empty directory that is gone after the run, such as 1Gi.",
			size(4<<10, 16<<40),
			func(v *Volume) *int64 { return &v.Size }),
		bind("cache", "Name of a directory that is kept between runs of this tool, for each folder that holds the tool's file.", text(schema{"pattern": filePattern}, checkFileName),
			func(v *Volume) *string { return &v.Cache }),
		bind("mount_path", "Absolute path to mount at; /secrets/NAME of the volume for a secret without one.", text(schema{"pattern": "^/."}, checkMountPath),
			func(v *Volume) *string { return &v.MountPath }),
	}, hintsForVolume, checkVolume), func(v Volume, p Position) Volume {
		v.Position = p
		return v
	})
	read := s.read
	s.read = func(d *decoder, n *yaml.Node, label string) (Volume, bool) {
		if r := resolve(n); r.Kind == yaml.ScalarNode {
			if hint, ok := hostVolume(r.Value); ok {
				d.report(n, fmt.Sprintf("volume %s: folders of this machine aren't mounted", quote(r.Value)), hint)
				return Volume{}, false
			}
		}
		return read(d, n, label)
	}
	return s
}

func resourcesShape() shape[Resources] {
	return objectWithHints("resources", resourcesFields(), hintsForResources, nil)
}

func resourcesFields() []field[Resources] {
	var fields []field[Resources]
	for _, l := range Limits() {
		fields = append(fields, bind(l.Name, l.doc, l.shape, l.Of))
	}
	return fields
}

func securityShape() shape[Security] {
	capability := convert(text(nil, checkCapability), plainCapability)
	one, several := convert(capability, func(c string) []string { return []string{c} }), list("capability", capability)
	return objectWithHints("security", []field[Security]{
		bind("user", "Who the tool runs as: a user, or a user and a group, by id or name, such as 1000:1000.", unambiguous(loose(checkUser)),
			func(s *Security) *string { return &s.User }),
		bind("read_only", "Whether the root filesystem is read-only; it is unless this says false.", pointer(boolean()),
			func(s *Security) **bool { return &s.ReadOnly }),
		bind("capabilities", "Linux capabilities to keep, none by default; root is short for those that change owners and users.", byKind("a capability or a list of them", &one, &several, nil),
			func(s *Security) *[]string { return &s.Capabilities }),
		bind("runtime", "The OCI runtime: default, or gvisor where it is installed.", text(schema{"minLength": 1}, checkRuntime),
			func(s *Security) *string { return &s.Runtime }),
	}, hintsForSecurity, nil)
}

func retryShape() shape[Retry] {
	whole := func(v int64) int { return int(v) }
	return objectWithHints("retry", []field[Retry]{
		needed(bind("attempts", "How many times to run at most, the first one included.", convert(integer(1, 100), whole),
			func(r *Retry) *int { return &r.Attempts })),
		bind("backoff", "Pause before the second attempt; it doubles with each further one.", duration(0, 24*time.Hour),
			func(r *Retry) *time.Duration { return &r.Backoff }),
		bind("max_backoff", "The longest pause.", duration(0, 24*time.Hour),
			func(r *Retry) *time.Duration { return &r.MaxBackoff }),
		bind("on_exit", "Exit statuses that are worth another attempt; every one but 0 where none is given.",
			list("an exit status", convert(integer(1, 255), whole)),
			func(r *Retry) *[]int { return &r.OnExit }),
	}, hintsForRetry, checkRetry)
}

func labelsShape() shape[map[string]string] {
	value := loose(checkLabelValue)
	sch := schema{"type": "object", "additionalProperties": value.schema}
	return shape[map[string]string]{schema: sch, read: func(d *decoder, n *yaml.Node, label string) (map[string]string, bool) {
		out := map[string]string{}
		ok := d.eachPair(n, label, func(key string, at, v *yaml.Node) {
			if d.accept(at, "label", key, checkLabelKey) {
				out[key], _ = value.read(d, v, "label "+key)
			}
		})
		return out, ok
	}}
}
