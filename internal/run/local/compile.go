package local

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// These are paths of the sandbox and limits that a compiled spec uses.
const (
	scriptPath = "/run/mayfly/script"
	// MaxOutputBytes is the largest size of the file of outputs, enough for 64 outputs of 1 MiB.
	MaxOutputBytes = 64 << 20
)

// Places are the folders of this machine that a run's mounts come from.
type Places struct {
	Caches  string        // the folder of all caches
	Content content.Store // artifacts, and files of tools from other machines
}

// These are the names that mounts have for the folders of engine.Local.
const (
	filesFolder   = "files"   // the tool's folder
	cachesFolder  = "caches"  // Places.Caches
	contentFolder = "content" // Places.Content
	makingFolder  = "making"  // the artifacts that the run makes
)

// Compile returns the spec of one run and the part of it that belongs to this machine, without secrets and the sockets of
// mocks. It is a pure function: the same request and image give the same spec, and it reads no file. The request must name
// its project, and a script that is a file must have been read (tool.Tool.ReadFiles).
//
// The environment is merged in this order, later ones win: the image's, the tool's with the defaults of its args, what the
// steps of a workflow share, inputs, the request's own.
func Compile(id string, req *run.Request, img *image.Image, at Places) (*engine.Spec, engine.Local, error) {
	t := req.Tool.Defaults()
	inputs, err := t.Inputs(req.Inputs)
	var local engine.Local
	if err != nil {
		return nil, local, err
	}
	spec := &engine.Spec{
		ID:         id,
		Image:      engine.Image{Reference: img.Reference, Digest: img.Digest},
		WorkingDir: workingDir(t, &img.Config),
		User:       cmp.Or(t.Security.User, img.Config.User),
		Resources:  engine.Resources(t.Resources), // the same fields, so that none is left out
		Security: engine.Security{
			Writable:     t.Security.ReadOnly != nil && !*t.Security.ReadOnly,
			Capabilities: capabilities(t.Security.Kept()),
			Runtime:      t.Security.Runtime,
		},
		Network:  *t.Network,
		Terminal: req.Terminal, Columns: req.Columns, Rows: req.Rows,
		MaxOutputBytes: MaxOutputBytes,
		Mocks:          req.Mocks,
	}
	spec.Environment = compileEnvironment(t, img.Config.Env, req, inputs)
	if extractsAsRoot(spec) {
		spec.Environment = append(spec.Environment, engine.Variable{Name: tarOptions, Value: "--no-same-owner"})
	}
	spillLarge(spec)
	if err := compileCommand(spec, t, &img.Config); err != nil {
		return nil, local, err
	}
	for _, dir := range slices.Sorted(maps.Keys(img.Config.Volumes)) {
		if dir = path.Clean(dir); path.IsAbs(dir) && dir != "/" {
			spec.Volumes = append(spec.Volumes, dir)
		}
	}
	for _, v := range t.Volumes {
		m, err := compileVolume(req, v, img)
		if err != nil {
			return nil, local, err
		}
		spec.Mounts = append(spec.Mounts, m)
	}
	for _, a := range req.Artifacts {
		m := engine.Mount{Kind: engine.MountArtifact, Target: a.Target, Folder: makingFolder, Path: a.Name}
		if !a.Made {
			file, err := at.Content.Path(a.Digest)
			if err != nil {
				return nil, local, fmt.Errorf("artifact %s: %w", a.Name, err)
			}
			m.Kind, m.Folder, m.Path = engine.MountHanded, contentFolder, strings.TrimSuffix(filepath.Base(file), ".tar")
		}
		spec.Mounts = append(spec.Mounts, m)
	}
	return spec, compileLocal(spec, req, img, at), nil
}

// compileLocal returns the part of a spec that belongs to this machine.
func compileLocal(spec *engine.Spec, req *run.Request, img *image.Image, at Places) engine.Local {
	local := engine.Local{Image: engine.Unpacked{HoldFile: img.HoldFile}}
	for _, f := range img.Folders {
		local.Image.Folders = append(local.Image.Folders, engine.Folder(f))
	}
	for _, l := range img.Layers {
		local.Image.Layers = append(local.Image.Layers, l.Path)
	}
	all := map[string]string{
		filesFolder: req.Tool.Source.Dir, cachesFolder: at.Caches, contentFolder: string(at.Content), makingFolder: makingDir(at.Content, req.ID),
	}
	for _, m := range spec.Mounts {
		if m.Folder == "" {
			continue
		}
		if local.Folders == nil {
			local.Folders = map[string]string{}
		}
		local.Folders[m.Folder] = all[m.Folder]
	}
	return local
}

func capabilities(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, "CAP_"+n)
	}
	return out
}

// workingDir returns the directory in which the tool starts: the tool's, otherwise the image's. If the image has "/" or none,
// the image's own command starts in "/", because its files are relative to that; a tool's command starts in a writable
// folder, for which the result is "".
func workingDir(t *tool.Tool, config *image.RunConfig) string {
	switch dir := cmp.Or(config.WorkingDir, "/"); {
	case t.WorkingDir != "":
		return t.WorkingDir
	case dir != "/":
		return dir
	case t.Command == nil && t.Script == nil:
		return "/"
	}
	return ""
}

// stopSignal parses the signal of an image's configuration: SIGQUIT, QUIT or 3, or SIGRTMIN+3. It returns 0 for an unknown
// signal, as if the image had none.
func stopSignal(s string) engine.Signal {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n <= rtmax {
		return engine.Signal(n)
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if i := slices.Index(signalNames, name); i > 0 {
		return engine.Signal(i)
	}
	for base, first := range map[string]int{"RTMIN": rtmin, "RTMAX": rtmax} {
		offset, found := strings.CutPrefix(name, base)
		n, err := strconv.Atoi(cmp.Or(offset, "0"))
		if signal := first + n; found && err == nil && signal >= rtmin && signal <= rtmax {
			return engine.Signal(signal)
		}
	}
	return 0
}

// These are the real-time signals (signal(7)): glibc reserves the first two of the kernel's, and musl the first three.
const (
	rtmin = 34
	rtmax = 64
)

// signalNames are the names of the signals from 1 on, as Linux numbers them on amd64 and arm64 (signal(7)), whatever mayfly runs on.
var signalNames = strings.Split(" HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT "+
	"CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS", " ")

// compileEnvironment returns the merged environment. It keeps the order of the definition, so that a dry run shows what was
// written; a later value of a name replaces an earlier one.
func compileEnvironment(t *tool.Tool, imageEnv []string, req *run.Request, inputs []tool.Input) []engine.Variable {
	var env []engine.Variable
	set := func(v engine.Variable) {
		if i := slices.IndexFunc(env, func(e engine.Variable) bool { return e.Name == v.Name }); i >= 0 {
			env[i] = v
			return
		}
		env = append(env, v)
	}
	for _, kv := range imageEnv {
		if name, value, ok := strings.Cut(kv, "="); ok && name != "" {
			set(engine.Variable{Name: name, Value: value})
		}
	}
	for _, ref := range t.ResolveEnvironment(req.Shared, inputs, req.Environment) {
		set(engine.Variable{Name: ref.Name, Value: ref.Literal, Secret: ref.Secret})
	}
	return env
}

// tarOptions is the variable from which GNU tar reads options.
const tarOptions = "TAR_OPTIONS"

// extractsAsRoot reports whether the tool runs as root without CAP_CHOWN and doesn't set TAR_OPTIONS. GNU tar then tries to
// set owners and fails; other archivers don't try.
func extractsAsRoot(spec *engine.Spec) bool {
	return isRoot(spec.User) && !slices.Contains(spec.Security.Capabilities, "CAP_CHOWN") &&
		!slices.ContainsFunc(spec.Environment, func(v engine.Variable) bool { return v.Name == tarOptions })
}

// compileCommand sets what is executed: the tool's command or script, otherwise the image's own entrypoint and arguments.
func compileCommand(spec *engine.Spec, t *tool.Tool, config *image.RunConfig) error {
	switch {
	case t.Command != nil:
		spec.Args = slices.Clone(t.Command.Args())
	case t.Script != nil:
		spec.Args = append(t.Script.Interpreter(), scriptPath)
		spec.Mounts = append(spec.Mounts, engine.Mount{Kind: engine.MountContent, Target: scriptPath, Content: []byte(t.Script.Text), Executable: true})
	default:
		spec.Args = append(slices.Clone(config.Entrypoint), config.Cmd...)
		if len(spec.Args) == 0 {
			return &shape.PlacedError{Position: t.Source.Position, Err: fmt.Errorf("tool %q has neither command nor script, and image %s has no entrypoint; add a command", t.Name, spec.Image.Reference)}
		}
	}
	return nil
}

func compileVolume(req *run.Request, v tool.Volume, img *image.Image) (engine.Mount, error) {
	m := engine.Mount{Target: v.MountPath, Size: v.Size}
	var err error
	switch {
	case v.Secret != "":
		m.Kind, m.Secret = engine.MountSecret, v.Secret
	case v.File != "":
		m.Kind, m.Folder, m.Path = engine.MountFile, filesFolder, v.File
		err = req.Tool.NoFolder()
	case v.Cache != "":
		m.Kind, m.Folder = engine.MountCache, cachesFolder
		m.Path, err = cachePath(req.Project, req.Tool, v.Cache, img)
	default:
		m.Kind = engine.MountScratch
	}
	return m, err
}

// secretNames returns the names of the secrets that a spec uses, sorted and without repeats.
func secretNames(spec *engine.Spec) []string {
	names := map[string]bool{}
	for _, v := range spec.Environment {
		if v.Secret != "" {
			names[v.Secret] = true
		}
	}
	for _, m := range spec.Mounts {
		if m.Kind == engine.MountSecret {
			names[m.Secret] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
