package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// checkSecretFlags refuses a --secret that no tool asks for, which is most likely a misspelt name. If the tools ask for no secrets
// at all it accepts any, as for arguments.
func (f *runFlags) checkSecretFlags(tools ...*tool.Tool) error {
	named := secretNames(tools)
	if f.image != "" && len(f.secrets) > 0 {
		name, _, _ := strings.Cut(f.secrets[0], "=")
		if !tool.ValidSecretName(name) {
			name = "NAME"
		}
		return runUsage("--secret: a command with --image can't have secrets; write a tool with environment: [NAME=/secrets/%s] (mayfly init NAME writes a first one)", name)
	}
	if why := unasked(f.secrets, named); why != "" && len(named) > 0 {
		return runUsage("%s", why)
	}
	return nil
}

// givenSecrets reads the values of the --secret flags of a command for a run of a server, which has them in base64.
func (f *runFlags) givenSecrets(ctx context.Context, s streams, command string) (map[string]string, error) {
	if len(f.secrets) == 0 {
		return nil, nil
	}
	given, err := secret.ParseFlags(f.secrets, s.in)
	if err != nil {
		return nil, &usageError{command: command, err: err}
	}
	if err := given.Missing(); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range given.Names() {
		value, err := given.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		out[name] = base64.StdEncoding.EncodeToString(value)
		clear(value)
	}
	return out, nil
}

func secretNames(tools []*tool.Tool) []string {
	var named []string
	for _, t := range tools {
		named = append(named, t.SecretNames()...)
	}
	slices.Sort(named)
	return slices.Compact(named)
}

// unasked says which of the --secret flags gives a secret that isn't among those named.
func unasked(flags, named []string) string {
	for _, flag := range flags {
		name, _, found := strings.Cut(flag, "=")
		if !found || !tool.ValidSecretName(name) || slices.Contains(named, name) {
			continue // secret.ParseFlags refuses what isn't NAME=…, and repeats no value
		}
		hint := "the secrets asked for are " + strings.Join(named, ", ")
		if near := shape.Nearest(name, named); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return fmt.Sprintf("--secret %s: nothing asks for a secret of that name; %s", name, hint)
	}
	return ""
}
