//go:build linux

package mocks

import (
	"errors"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

func wantInvalid(t *testing.T, err error, why string) {
	t.Helper()
	var invalid *engine.InvalidError
	if !errors.As(err, &invalid) || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v, want an error with %q", err, why)
	}
}

func wantUnsupported(t *testing.T, err error, feature string) {
	t.Helper()
	var u *engine.Unsupported
	if !errors.As(err, &u) || !strings.Contains(u.Feature, feature) || u.Why == "" || u.Remedy == "" {
		t.Errorf("got %v, want an engine.Unsupported for %q with its reason and remedy", err, feature)
	}
}
