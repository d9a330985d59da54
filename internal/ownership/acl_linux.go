package ownership

import "golang.org/x/sys/unix"

// hasACL reports whether a file has an access control list in addition to its mode (acl(5)).
func hasACL(path string) bool {
	n, err := unix.Lgetxattr(path, "system.posix_acl_access", nil)
	return err == nil && n > 0
}
