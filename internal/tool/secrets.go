package tool

import (
	"maps"
	"slices"
	"strings"
)

// SecretsDir is the folder where secrets without a mount_path are mounted, and the prefix of a variable's value that names a secret.
const SecretsDir = "/secrets"

// secretOf returns the name of the secret that a value of the definition's environment stands for. A value that is exactly
// /secrets/NAME names a secret, unless a volume is mounted at that path: then the tool wants the path, as for KUBECONFIG.
func (t *Tool) secretOf(value string) (name string, ok bool) {
	name, ok = strings.CutPrefix(value, SecretsDir+"/")
	if !ok || !ValidSecretName(name) {
		return "", false
	}
	for _, v := range t.Volumes {
		if v.MountPath == value {
			return "", false
		}
	}
	return name, true
}

// SecretNames returns the secrets that the definition names in its environment and its volumes, sorted and without repeats.
func (t *Tool) SecretNames() []string {
	names := map[string]bool{}
	for _, e := range t.Environment {
		if name, ok := t.secretOf(e.Value); ok {
			names[name] = true
		}
	}
	for _, v := range t.Volumes {
		if v.Secret != "" {
			names[v.Secret] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// ResolveEnvironment merges the variables of a run. In this order, later ones win: the tool's own environment, the defaults
// of its args, shared (the environment of a workflow), the given inputs, and the overrides of a workflow's step or a command
// line. Each variable keeps the position of its first appearance.
//
// Only the tool's own environment can name a secret. All other values stay text, even /secrets/NAME: otherwise anyone who may
// run a tool could make it get, and print, any secret of the store. The definition is what was reviewed and given access.
func (t *Tool) ResolveEnvironment(shared []EnvVar, inputs []Input, overrides []EnvVar) []EnvRef {
	out := make([]EnvRef, 0, len(t.Environment)+len(inputs)+len(overrides))
	place := make(map[string]int, cap(out))
	set := func(r EnvRef) {
		if i, ok := place[r.Name]; ok {
			out[i] = r
			return
		}
		place[r.Name] = len(out)
		out = append(out, r)
	}
	for _, e := range t.Environment {
		if name, ok := t.secretOf(e.Value); ok {
			set(EnvRef{Name: e.Name, Secret: name})
			continue
		}
		set(EnvRef{Name: e.Name, Literal: e.Value})
	}
	variables := func(list []EnvVar) {
		for _, e := range list {
			set(EnvRef{Name: e.Name, Literal: e.Value})
		}
	}
	values := func(defaults bool) {
		for _, in := range inputs {
			if in.Default == defaults {
				set(EnvRef{Name: in.Env, Literal: in.Value})
			}
		}
	}
	values(true)
	variables(shared)
	values(false)
	variables(overrides)
	return out
}
