package secret

import "os"

// checkPrivate checks that the file is there. Who may read it is in access lists that a user's own folders inherit.
func checkPrivate(path string) error {
	_, err := os.Lstat(path)
	return err
}
