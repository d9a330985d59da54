//go:build linux && !amd64

package main

var deniedHere []struct {
	name string
	nr   uintptr
	args []uintptr
}

var int80, x32 func() int64
