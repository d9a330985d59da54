//go:build !linux

package sqlstore

import "syscall"

// userTimeout is for Linux only; elsewhere the other bounds apply.
func userTimeout(string, string, syscall.RawConn) error { return nil }
