//go:build !modernc && !ncruces

package main

// driver is none: this build only shows how large the program is without one.
const driver = ""
