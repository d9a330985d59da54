package secret

import "os"

// checkPrivate checks that the file exists. Access control lists, which a user's own folders inherit, say who may read it.
func checkPrivate(path string) error {
	_, err := os.Lstat(path)
	return err
}
