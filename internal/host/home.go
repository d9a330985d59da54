package host

import (
	"os"
	"path/filepath"
)

// home is the folder where Mayfly keeps what lasts: images, secrets, caches, the configuration. It is $MAYFLY_HOME, or
// /var/lib/mayfly for root, or in the user's data folder (XDG base directory specification).
func home() (string, error) {
	if dir := os.Getenv("MAYFLY_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/lib/mayfly", nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mayfly"), nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(user, ".local", "share", "mayfly"), nil
}
