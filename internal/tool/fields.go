package tool

import (
	"fmt"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/shape"
	"go.yaml.in/yaml/v3"
)

// This file has the tables of a definition's keys, with their shapes and their documentation. They are functions and not
// variables, so that a process that reads no definition doesn't build them.

// Shape returns the shape of a tool.
func Shape() shape.Shape[Tool] {
	return shape.ObjectWithHints("a tool", []shape.Field[Tool]{
		shape.Bind("name", "The tool's name; by default the name of the file.", shape.Text(shape.Schema{"pattern": NamePattern}, CheckName),
			func(t *Tool) *string { return &t.Name }),
		shape.Bind("description", "What the tool does, for people.", shape.Text(nil, shape.Printable),
			func(t *Tool) *string { return &t.Description }),
		shape.Bind("image", "OCI reference of the image to run, by tag or digest.", shape.Text(shape.Schema{"minLength": 1, "pattern": imagePattern}, checkImage),
			func(t *Tool) *string { return &t.Image }),
		shape.Bind("command", "What to run: a list of the program and its arguments, or a line for sh -c.", commandShape(),
			func(t *Tool) **Command { return &t.Command }),
		shape.Bind("script", "A program to run instead of a command: its text (the #! line is honoured, sh -e is the default) or {file: …} from the tool's folder.", scriptShape(),
			func(t *Tool) **Script { return &t.Script }),
		shape.Bind("args", "The typed inputs that the tool takes. A tool without them takes any input as a variable of that name.", argsOfTool(),
			func(t *Tool) *[]Arg { return &t.Args }),
		shape.Bind("environment", "Variables, as a list of KEY=value or a mapping. A value that is exactly /secrets/NAME stands for that secret's value, unless a volume is mounted there.", EnvironmentShape(),
			func(t *Tool) *[]EnvVar { return &t.Environment }),
		shape.Bind("volumes", "What is mounted: secrets, files of the tool's folder, empty directories, caches.", shape.List("a volume", volumeShape()),
			func(t *Tool) *[]Volume { return &t.Volumes }),
		shape.Bind("resources", "Limits on what a run may use.", resourcesShape(),
			func(t *Tool) *Resources { return &t.Resources }),
		shape.Bind("security", "How the tool is confined.", securityShape(),
			func(t *Tool) *Security { return &t.Security }),
		networkField("What the tool may reach: none, public (no private networks), open, or a list of rules."),
		shape.Bind("working_dir", "Absolute path of the directory that the tool starts in.", shape.Text(shape.Schema{"pattern": "^/."}, checkAbsolute),
			func(t *Tool) *string { return &t.WorkingDir }),
		shape.Bind("timeout", "How long each attempt of a run may take, such as 30s, 5m or 1h30m.", TimeoutShape(),
			func(t *Tool) *time.Duration { return &t.Timeout }),
		shape.Bind("retry", "How a failed run is repeated.", shape.Pointer(RetryShape()),
			func(t *Tool) **Retry { return &t.Retry }),
		shape.Bind("outputs", "Names of the values that the tool writes to the file $MAYFLY_OUTPUT.", shape.List("an output", shape.Text(shape.Schema{"pattern": EnvPattern}, CheckEnvName)),
			func(t *Tool) *[]string { return &t.Outputs }),
		shape.Bind("labels", "Labels of the tool, for people and programs to find it by.", LabelsShape(),
			func(t *Tool) *map[string]string { return &t.Labels }),
	}, Hints, checkTool)
}

func commandShape() shape.Shape[*Command] {
	line := shape.Located(shape.Text(shape.Schema{"pattern": `\S`}, func(s string) (string, string) {
		if strings.TrimSpace(s) == "" {
			return "is empty", "leave the key out to run the image's own entrypoint"
		}
		return "", ""
	}), func(s string, p shape.Position) *Command { return &Command{Shell: s, Position: p} })
	words := shape.List("a word of the command", shape.Loose(nil))
	words.Schema = shape.Schema{"type": "array", "items": words.Schema["items"], "minItems": 1}
	readWords := words.Read
	words.Read = func(d *shape.Decoder, n *yaml.Node, label string) ([]string, bool) {
		argv, ok := readWords(d, n, label)
		if ok && (len(argv) == 0 || argv[0] == "") {
			d.Report(n, "command has no program", "leave the key out to run the image's own entrypoint")
			return nil, false
		}
		return argv, ok
	}
	argv := shape.Located(words, func(argv []string, p shape.Position) *Command { return &Command{Argv: argv, Position: p} })
	return shape.ByKind("text or a list of words", &line, &argv, nil)
}

func scriptShape() shape.Shape[*Script] {
	inline := shape.Located(shape.Text(shape.Schema{"pattern": `\S`}, func(s string) (string, string) {
		if strings.TrimSpace(s) == "" {
			return "is empty", "leave the key out to run the image's own entrypoint"
		}
		return "", ""
	}), func(s string, p shape.Position) *Script { return &Script{Text: s, Position: p} })
	file := shape.Located(shape.Object("a script", []shape.Field[string]{
		shape.Required(shape.Bind("file", "Path of the script inside the tool's folder.", shape.Text(shape.Schema{"minLength": 1}, checkInside()),
			func(s *string) *string { return s })),
	}, nil), func(s string, p shape.Position) *Script { return &Script{File: s, Position: p} })
	return shape.ByKind("text or {file: …}", &inline, nil, &file)
}

func volumeShape() shape.Shape[Volume] {
	s := shape.Located(shape.ObjectWithHints("a volume", []shape.Field[Volume]{
		shape.Required(shape.Bind("name", "The volume's name.", shape.Text(shape.Schema{"pattern": FilePattern}, CheckFileName),
			func(v *Volume) *string { return &v.Name })),
		shape.Bind("secret", "Name of the secret whose value is mounted as a file.", shape.Text(shape.Schema{"pattern": SecretPattern}, CheckSecretName),
			func(v *Volume) *string { return &v.Secret }),
		shape.Bind("file", "Path of a file or folder inside the tool's folder, mounted read-only.", shape.Text(shape.Schema{"minLength": 1}, checkVolumeFile),
			func(v *Volume) *string { return &v.File }),
		shape.Bind("size", "Size of an empty directory that is gone after the run, such as 1Gi.",
			shape.Size(4<<10, 16<<40),
			func(v *Volume) *int64 { return &v.Size }),
		shape.Bind("cache", "Name of a directory that is kept between runs of this tool, one for each folder that holds the tool's file.", shape.Text(shape.Schema{"pattern": FilePattern}, CheckFileName),
			func(v *Volume) *string { return &v.Cache }),
		shape.Bind("mount_path", "Absolute path to mount at; for a secret, by default /secrets/NAME with the volume's name.", shape.Text(shape.Schema{"pattern": "^/."}, CheckMountPath),
			func(v *Volume) *string { return &v.MountPath }),
	}, hintsForVolume, checkVolume), func(v Volume, p shape.Position) Volume {
		v.Position = p
		return v
	})
	read := s.Read
	s.Read = func(d *shape.Decoder, n *yaml.Node, label string) (Volume, bool) {
		if r := shape.Resolve(n); r.Kind == yaml.ScalarNode {
			if hint, ok := hostVolume(r.Value); ok {
				d.Report(n, fmt.Sprintf("volume %s: folders of this machine can't be mounted", shape.Quote(r.Value)), hint)
				return Volume{}, false
			}
		}
		return read(d, n, label)
	}
	return s
}

func resourcesShape() shape.Shape[Resources] {
	return shape.ObjectWithHints("resources", ResourcesFields(), hintsForResources, nil)
}

// ResourcesFields returns a field for each of [Limits].
func ResourcesFields() []shape.Field[Resources] {
	var fields []shape.Field[Resources]
	for _, l := range Limits() {
		fields = append(fields, shape.Bind(l.Name, l.doc, l.shape, l.Of))
	}
	return fields
}

func securityShape() shape.Shape[Security] {
	capability := shape.Convert(shape.Text(nil, CheckCapability), plainCapability)
	one, several := shape.Convert(capability, func(c string) []string { return []string{c} }), shape.List("capability", capability)
	return shape.ObjectWithHints("security", []shape.Field[Security]{
		shape.Bind("user", "Who the tool runs as: a user, or a user and a group, by id or name, such as 1000:1000.", shape.Unambiguous(shape.Loose(checkUser)),
			func(s *Security) *string { return &s.User }),
		shape.Bind("read_only", "Whether the root filesystem is read-only; true by default.", shape.Pointer(shape.Boolean()),
			func(s *Security) **bool { return &s.ReadOnly }),
		shape.Bind("capabilities", "Linux capabilities to keep, none by default; root is short for those that change owners and users.", shape.ByKind("a capability or a list of them", &one, &several, nil),
			func(s *Security) *[]string { return &s.Capabilities }),
		shape.Bind("runtime", "The OCI runtime: default, or gvisor if it is installed.", shape.Text(shape.Schema{"minLength": 1}, checkRuntime),
			func(s *Security) *string { return &s.Runtime }),
	}, hintsForSecurity, nil)
}

// RetryShape returns the shape of how a failed run is repeated.
func RetryShape() shape.Shape[Retry] {
	whole := func(v int64) int { return int(v) }
	return shape.ObjectWithHints("retry", []shape.Field[Retry]{
		shape.Required(shape.Bind("attempts", "The maximum number of attempts, including the first.", shape.Convert(shape.Integer(1, 100), whole),
			func(r *Retry) *int { return &r.Attempts })),
		shape.Bind("backoff", "Pause before the second attempt; it doubles with each further attempt.", shape.Duration(0, 24*time.Hour),
			func(r *Retry) *time.Duration { return &r.Backoff }),
		shape.Bind("max_backoff", "The longest pause.", shape.Duration(0, 24*time.Hour),
			func(r *Retry) *time.Duration { return &r.MaxBackoff }),
		shape.Bind("on_exit", "Exit statuses that are worth another attempt; by default every one except 0.",
			shape.List("an exit status", shape.Convert(shape.Integer(1, 255), whole)),
			func(r *Retry) *[]int { return &r.OnExit }),
	}, hintsForRetry, checkRetry)
}

// LabelsShape returns the shape of labels: a mapping from keys to values.
func LabelsShape() shape.Shape[map[string]string] {
	value := shape.Loose(CheckLabelValue)
	sch := shape.Schema{"type": "object", "additionalProperties": value.Schema}
	return shape.Shape[map[string]string]{Schema: sch, Read: func(d *shape.Decoder, n *yaml.Node, label string) (map[string]string, bool) {
		out := map[string]string{}
		ok := d.EachPair(n, label, func(key string, at, v *yaml.Node) {
			if d.Accept(at, "label", key, CheckLabelKey) {
				out[key], _ = value.Read(d, v, "label "+key)
			}
		})
		return out, ok
	}}
}
