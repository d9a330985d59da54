package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// aptConfig is a file that makes apt stay root. Otherwise it becomes _apt to download (APT::Sandbox::User, apt.conf(5)), which
// needs capabilities, and fails.
const aptConfig = "/etc/apt/apt.conf.d/90mayfly"

// keepAptRoot writes aptConfig for a tool that is root without the capabilities to become another user.
func (r *rootfs) keepAptRoot(spec *engine.Spec) error {
	if r.user.uid != 0 || slices.Contains(spec.Security.Capabilities, "CAP_SETUID") && slices.Contains(spec.Security.Capabilities, "CAP_SETGID") {
		return nil
	}
	folder, err := r.inRoot("/etc/apt/apt.conf.d")
	if err != nil {
		return nil //nolint:nilerr // the image's links lead nowhere, so apt has no settings there
	}
	info, err := os.Lstat(folder)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil
	}
	if err == nil {
		err = r.writeFile(aptConfig, []byte("APT::Sandbox::User \"root\";\n"))
	}
	if err != nil {
		return fmt.Errorf("keep apt root in the sandbox: %w", err)
	}
	return nil
}
