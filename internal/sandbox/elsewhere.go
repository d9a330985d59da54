package sandbox

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// usualPath lists the folders that usually contain programs, whatever the image's PATH is.
var usualPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// elsewhere returns the end of an error about a command that was not found: where the image has it, and what to write so that
// it is found. It is empty if the image doesn't have it.
func (r *rootfs) elsewhere(name, cwd string) string {
	if strings.Contains(name, "/") {
		if at := path.Join("/", name); !path.IsAbs(name) && cwd != "/" && r.has(at) {
			return fmt.Sprintf("; the image has %s: write that, or working_dir: /", at)
		}
		return ""
	}
	for _, dir := range slices.Concat(usualPath, []string{cwd, "/"}) {
		if at := path.Join(dir, name); r.has(at) {
			return fmt.Sprintf("; there is %s: write that, or add %s to the variable PATH", at, dir)
		}
	}
	return ""
}

// has reports whether the image has a program at a path.
func (r *rootfs) has(at string) bool { return r.checkExecutable(at, at, 0) == nil }
