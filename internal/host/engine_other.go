//go:build !linux

package host

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

// CheckNamespace does nothing: no command is started in a user namespace.
func CheckNamespace() error { return nil }

// EnterNamespace does nothing: there are no user namespaces to enter.
func EnterNamespace([]string, ownership.Vetted) error { return nil }

func storeOptions() (image.Options, error) { return image.Options{}, nil }

// Keeper fails, as the engine does.
func Keeper() (engine.Keeper, error) {
	_, err := newEngine()
	return nil, err
}

// Delegate fails, as the engine does.
func Delegate(int) ([]string, error) {
	_, err := newEngine()
	return nil, err
}

// probe fails: there is nothing to probe.
func (h *Host) probe([]string) ([]engine.Check, error) {
	_, err := newEngine()
	return nil, err
}
