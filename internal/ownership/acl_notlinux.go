//go:build !linux

package ownership

func hasACL(string) bool { return false }
