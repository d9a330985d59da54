package sandbox

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// usualPath are the folders that programs are in, whatever the image's PATH says.
var usualPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// elsewhere says where the image has a command that was not found, and what to write for it to be found; otherwise it is
// empty.
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

// has reports whether there is a program at a path.
func (r *rootfs) has(at string) bool { return r.checkExecutable(at, at, 0) == nil }
