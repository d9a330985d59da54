package sandbox

import (
	"bytes"
	_ "embed" // the profile
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// appArmorProfile is the profile's name in the file. A changed profile needs a new name, because a loaded profile stays until
// the next boot.
const appArmorProfile = "mayfly-tool-1"

//go:embed apparmor.profile
var appArmorText []byte

// loadAppArmor loads the tool's profile into the kernel and returns its name. It returns "" if AppArmor isn't active,
// apparmor_parser isn't installed, or this isn't the host's root, who alone may load a profile. `mayfly doctor` says which.
func loadAppArmor(rootless bool) (string, error) {
	enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	if err != nil || strings.TrimSpace(string(enabled)) != "Y" || rootless {
		return "", nil //nolint:nilerr // without the file there is no AppArmor
	}
	loaded, err := os.ReadFile("/sys/kernel/security/apparmor/profiles")
	if err != nil {
		return "", fmt.Errorf("list AppArmor's profiles: %w", err)
	}
	if bytes.Contains(loaded, []byte(appArmorProfile+" (enforce)\n")) {
		return appArmorProfile, nil
	}
	parser, err := exec.LookPath("apparmor_parser")
	if err != nil {
		return "", nil //nolint:nilerr // the profile can't be loaded
	}
	load := exec.Command(parser, "--replace", "--skip-cache")
	load.Stdin = bytes.NewReader(appArmorText)
	if out, err := load.CombinedOutput(); err != nil {
		return "", fmt.Errorf("load the AppArmor profile %s: %w: %s", appArmorProfile, err, bytes.TrimSpace(out))
	}
	return appArmorProfile, nil
}
