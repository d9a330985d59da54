package local

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// lastOutput keeps the end of a tool's output, masked, for advice about why it failed. Both streams write to it.
type lastOutput struct {
	mu  sync.Mutex
	end []byte
}

// lastOutputBytes is about one screen: the reason of a failure is at the end.
const lastOutputBytes = 4 << 10

// Write implements [io.Writer].
func (l *lastOutput) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = append(l.end, p[max(0, len(p)-lastOutputBytes):]...)
	if excess := len(l.end) - lastOutputBytes; excess > 0 {
		l.end = append(l.end[:0], l.end[excess:]...)
	}
	return len(p), nil
}

// tee returns a writer that writes to w and keeps the end of what w accepted.
func (l *lastOutput) tee(w io.Writer) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		n, err := w.Write(p)
		_, _ = l.Write(p[:n])
		return n, err
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// lastLines is the number of lines that advice searches. They have the words of libc, with what Node, Rust and busybox add.
// (ping's socket needs another capability.)
const lastLines = 15

var (
	notPermitted = lazyregexp.New(`(?i)(?:operation not permitted|permission denied)(?:[).]*|: .*|, [a-z]+(?: '.*)?| \((?:os error \d+|are you root\?)\))$`)
	// readOnlyFile matches "touch: /etc/x: Read-only file system" and "EROFS: read-only file system, open '/etc/x'"; its groups are the path.
	readOnlyFile = lazyregexp.New(`(?i)(/[\w./@+-]*)['"‘’]*: read-only file system$|read-only file system(?:, \w+|:) ['"](/[^'"]*)['"]`)
	noSecret     = lazyregexp.New(`(?i)/secrets/([A-Za-z0-9][A-Za-z0-9._-]*).*no such file or directory|no such file or directory.*/secrets/([A-Za-z0-9][A-Za-z0-9._-]*)`)
)

// lines returns the last lines of the output.
func (l *lastOutput) lines() []string {
	l.mu.Lock()
	lines := strings.Split(strings.TrimRight(string(l.end), "\r\n"), "\n")
	l.mu.Unlock()
	lines = lines[max(0, len(lines)-lastLines):]
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, "\r ")
	}
	return lines
}

// advice returns what may help a tool that failed with an exit status, from the last lines of its output.
func advice(spec *engine.Spec, lines []string, status int) string {
	for _, line := range slices.Backward(lines) {
		if m := noSecret().FindStringSubmatch(line); m != nil {
			name := m[1] + m[2]
			if mounted(spec, "/secrets/"+name) {
				continue
			}
			return fmt.Sprintf("no secret is mounted at /secrets/%s; add volumes: [{name: %s, secret: %s}] to the tool", name, name, name)
		}
		if status != engine.ExitNotExecutable && isRoot(spec.User) && !slices.Contains(spec.Security.Capabilities, "CAP_CHOWN") && notPermitted().MatchString(line) && !strings.HasPrefix(line, "ping: ") {
			return "root has no capabilities unless the tool asks for them: security: {capabilities: root} lets it change owners and users, and use other users' files"
		}
	}
	return ""
}

// readOnlyAdvice returns advice for a tool that tried to change the image's files.
func readOnlyAdvice(spec *engine.Spec, lines []string) string {
	if spec.Security.Writable {
		return ""
	}
	for _, line := range slices.Backward(lines) {
		m := readOnlyFile().FindStringSubmatch(line)
		if m != nil && !alwaysReadOnly(spec, m[1]+m[2]) {
			return "the image's files are read-only unless the tool sets security: {read_only: false}; /tmp and home are writable"
		}
	}
	return ""
}

// alwaysReadOnly reports whether a path is read-only whatever the tool asks for: the kernel's files, and mounts with what is
// above and below them.
func alwaysReadOnly(spec *engine.Spec, file string) bool {
	below := func(a, b string) bool { return a == b || strings.HasPrefix(a, strings.TrimSuffix(b, "/")+"/") }
	return below(file, "/proc") || below(file, "/sys") || below(file, "/run") ||
		slices.ContainsFunc(spec.Mounts, func(m engine.Mount) bool { return below(file, m.Target) || below(m.Target, file) })
}

// mounted reports whether a path is a mount, or has one below it.
func mounted(spec *engine.Spec, path string) bool {
	return slices.ContainsFunc(spec.Mounts, func(m engine.Mount) bool { return m.Target == path || strings.HasPrefix(m.Target, path+"/") })
}

// isRoot reports whether a tool's user, as "user:group", is certainly root.
func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "0" || name == "root"
}
