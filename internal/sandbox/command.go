package sandbox

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// checkCommand finds argv[0] in the image as execvp(3) does, and returns a
// [*engine.CommandError] if it can't be executed. It runs before the container
// starts: a failed execve(2) in the container is only an exit status.
func (r *rootfs) checkCommand(argv, env []string, cwd string) error {
	name := argv[0]
	if err := checkSize(argv, env); err != nil {
		return err
	}
	if strings.Contains(name, "/") {
		err := r.checkExecutable(name, path.Join(cwdIfRelative(name, cwd), name), 0)
		var ce *engine.CommandError
		if errors.As(err, &ce) && ce.NotFound {
			ce.Why += r.elsewhere(name, cwd)
		}
		return err
	}
	search := ""
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			search = v
		}
	}
	var denied error
	for dir := range strings.SplitSeq(search, ":") {
		if !path.IsAbs(dir) {
			continue // a relative entry would run a file that the tool's inputs could have put there
		}
		err := r.checkExecutable(name, path.Join(dir, name), 0)
		var ce *engine.CommandError
		if !errors.As(err, &ce) {
			return err
		}
		if !ce.NotFound && denied == nil {
			denied = err
		}
	}
	if denied != nil {
		return denied
	}
	return &engine.CommandError{Path: name, NotFound: true, Why: "it is in no folder of PATH=" + search + r.elsewhere(name, cwd)}
}

// Linux's limits in bytes of one argument or variable with its zero byte
// (MAX_ARG_STRLEN), and of all of them with their pointers: a quarter of the
// stack's limit, which toolProcess sets (execve(2)).
const (
	maxArgument  = 128 << 10
	maxArguments = stackLimit / 4
)

// checkSize refuses arguments and variables that execve(2) would refuse with E2BIG.
func checkSize(argv, env []string) error {
	total := 0
	for i, list := range [][]string{argv, env} {
		for _, s := range list {
			total += len(s) + 1 + 8
			if len(s) < maxArgument {
				continue
			}
			if i == 0 {
				return &engine.CommandError{Path: argv[0], Why: fmt.Sprintf("an argument has %d bytes, and Linux takes at most 128 KiB; write the text as script, or mount it as a file", len(s))}
			}
			name, _, _ := strings.Cut(s, "=")
			return &engine.CommandError{Path: argv[0], Why: fmt.Sprintf("the variable %.60s has %d bytes, and Linux takes at most 128 KiB; mount the value as a file", name, len(s))}
		}
	}
	if total > maxArguments {
		return &engine.CommandError{Path: argv[0], Why: fmt.Sprintf("its arguments and variables have %d bytes, and Linux takes at most 2 MiB of them; write text as script, or mount it as files", total)}
	}
	return nil
}

func cwdIfRelative(name, cwd string) string {
	if path.IsAbs(name) {
		return "/"
	}
	return cwd
}

// maxInterpreters is the kernel's limit on scripts that name scripts (execve(2)).
const maxInterpreters = 4

// checkExecutable checks one file.
func (r *rootfs) checkExecutable(name, at string, depth int) error {
	fail := func(format string, args ...any) error {
		return &engine.CommandError{Path: name, Why: fmt.Sprintf(format, args...)}
	}
	f, where, err := r.openExecutable(at)
	switch {
	case errors.Is(err, errNotExecuted):
		return fail("%s is mounted as a secret, which can't be executed", at)
	case errors.Is(err, unix.ELOOP):
		return &engine.CommandError{Path: name, NotFound: true, Why: at + " is a link that leads nowhere"}
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return &engine.CommandError{Path: name, NotFound: true, Why: "there is no " + at}
	case err != nil:
		return err
	case f == nil:
		return nil // it is known only inside the sandbox
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return fail("%s is a directory", at)
	case !info.Mode().IsRegular():
		return fail("%s is not a regular file", at)
	case info.Mode().Perm()&0o111 == 0:
		return fail("%s has no execute permission; chmod +x %s", at, where)
	}
	head, err := bufio.NewReaderSize(io.LimitReader(f, 256), 256).Peek(256)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case strings.HasPrefix(string(head), "#!"):
		line, _, _ := strings.Cut(string(head[2:]), "\n")
		if strings.HasSuffix(line, "\r") {
			return fail("the first line of %s ends with a carriage return, as in files of Windows; save it with line feeds only", at)
		}
		interpreter := strings.Fields(line)
		if len(interpreter) == 0 {
			return fail("its first line names no interpreter")
		}
		if depth >= maxInterpreters {
			return fail("its interpreters are scripts themselves, more than %d deep", maxInterpreters)
		}
		err := r.checkExecutable(name, path.Clean("/"+interpreter[0]), depth+1)
		var ce *engine.CommandError
		if errors.As(err, &ce) {
			return fail("its interpreter %s: %s", interpreter[0], ce.Why)
		}
		return err
	case strings.HasPrefix(string(head), elf.ELFMAG):
		return r.checkELF(f, fail)
	default:
		return fail("%s is neither a program nor a script with a #! line", at)
	}
}

var elfMachines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390, "ppc64le": elf.EM_PPC64}

func (r *rootfs) checkELF(f *os.File, fail func(string, ...any) error) error {
	program, err := readELF(f)
	if err != nil {
		return fail("it is a damaged program: %v", err)
	}
	if want, ok := elfMachines[runtime.GOARCH]; ok && program.machine != want {
		return fail("it is a program for another processor (%v); pull the image for %s", program.machine, runtime.GOARCH)
	}
	if program.loader != "" {
		at := path.Clean("/" + program.loader)
		host, err := r.inRoot(at)
		if err != nil {
			return err
		}
		if _, err := os.Stat(host); err != nil && !r.onToolMount(at) {
			return fail("it needs the loader %s, which the image doesn't have", at)
		}
	}
	return nil
}

// onToolMount reports whether a path of the sandbox is on one of the tool's mounts.
func (r *rootfs) onToolMount(at string) bool {
	for _, target := range r.targets {
		if at == target || strings.HasPrefix(at, target+"/") {
			return true
		}
	}
	return false
}
