package sandbox

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// shellBuiltins lists the builtins of the usual shells (bash, dash, busybox) that may be files too.
var shellBuiltins = []string{
	"[", "alias", "bg", "builtin", "cd", "command", "echo", "enable", "eval", "exec", "exit", "export", "false", "fc", "fg", "getopts", "hash",
	"help", "history", "jobs", "kill", "let", "local", "printf", "pushd", "popd", "pwd", "read", "readonly", "return", "set", "shift", "source",
	"suspend", "test", "time", "times", "trap", "true", "type", "ulimit", "umask", "unalias", "unset", "wait",
}

var shells = []string{"ash", "bash", "dash", "hush", "ksh", "sh", "zsh"}

// mayRunItself returns the mocked commands that the tool's text names without a path, and that the shell of that text may run
// without looking for a file: its builtins and, if it is busybox, the applets. Whether busybox does so is an option of its
// build (FEATURE_SH_STANDALONE), which can't be seen from outside.
func (r *rootfs) mayRunItself(spec *engine.Spec, env []string) []string {
	shell, text := shellText(spec)
	if shell == "" {
		return nil
	}
	program := r.lookProgram(shell, env)
	return slices.DeleteFunc(slices.Clone(spec.Mocks.Commands), func(name string) bool {
		applet := program != nil && os.SameFile(program, r.lookProgram(name, env))
		return !applet && !slices.Contains(shellBuiltins, name) || !namesCommand(text, name)
	})
}

// shellText returns the tool's shell and the text that it reads from its arguments or script. shell is "" if the command is
// not a shell.
func shellText(spec *engine.Spec) (shell, text string) {
	at := 0
	if before := path.Base(spec.Args[0]); (before == "env" || before == "busybox") && len(spec.Args) > 1 {
		at = 1
	}
	if !slices.Contains(shells, path.Base(spec.Args[at])) {
		return "", ""
	}
	last := spec.Args[len(spec.Args)-1]
	for _, m := range spec.Mounts {
		if m.Kind == engine.MountContent && m.Target == last {
			return spec.Args[at], string(m.Content)
		}
	}
	return spec.Args[at], strings.Join(spec.Args[at+1:], "\n")
}

func namesCommand(text, name string) bool {
	return regexp.MustCompile(`(^|[^\w/.-])` + regexp.QuoteMeta(name) + `($|[^\w/.-])`).MatchString(text)
}

// lookProgram returns the file of a command in the image, or nil.
func (r *rootfs) lookProgram(name string, env []string) os.FileInfo {
	paths := []string{name}
	if !path.IsAbs(name) {
		paths = nil
		for _, dir := range r.searchPath(env) {
			paths = append(paths, path.Join(dir, name))
		}
	}
	for _, at := range paths {
		if host, err := r.inRoot(at); err == nil {
			if info, err := os.Lstat(host); err == nil && info.Mode().IsRegular() {
				return info
			}
		}
	}
	return nil
}
