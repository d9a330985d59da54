//go:build !linux

package workflow

import "os"

func syncData(f *os.File) error { return f.Sync() }
