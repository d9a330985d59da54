//go:build !linux

package tool

func hasACL(string) bool { return false }
