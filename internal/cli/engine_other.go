//go:build !linux

package cli

import (
	"fmt"
	"runtime"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/ownership"
)

// newEngine fails: the embedded engine is made of Linux namespaces.
func newEngine() (engine.Engine, error) {
	return nil, &engine.Unsupported{
		Feature: "embedded engine",
		Why:     fmt.Sprintf("it needs Linux, and this is %s", runtime.GOOS),
		Remedy:  "run mayfly in a Linux virtual machine",
	}
}

// checkNamespace does nothing: no command is started in a user namespace.
func checkNamespace() error { return nil }

// enterNamespace does nothing: there are no user namespaces to enter.
func enterNamespace(ownership.Vetted) error { return nil }

func storeOptions() (image.Options, error) { return image.Options{}, nil }

// probeHost says that there is nothing to probe.
func probeHost(string) ([]engine.Check, error) {
	_, err := newEngine()
	return nil, err
}
