package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/store"
)

// A secret's way: mayfly sends its value over TLS, the server seals it for its own keys (secret.Keys) and keeps only that. With
// an attempt, it opens the secrets that the tool names, and seals them for the key of the runner that gets the attempt, which is
// only in that runner's memory. So nothing between the two, and no answer of the API, has a value.

func (s *Server) registerSecrets() {
	at := "/projects/{project}/secrets"
	huma.Register(s.api, operation("list-secrets", http.MethodGet, at, RoleViewer, "List secrets, without values"), s.listSecrets)
	huma.Register(s.api, operation("get-secret", http.MethodGet, at+"/{secret}", RoleViewer, "Get a secret with its latest versions and uses, without values"), s.getSecret)
	huma.Register(s.api, operation("set-secret", http.MethodPut, at+"/{secret}", RoleAuthor, "Set a secret, or which tools may use it"), s.setSecret)
	huma.Register(s.api, operation("delete-secret", http.MethodDelete, at+"/{secret}", RoleAuthor, "Remove a secret"), s.deleteSecret)
	huma.Register(s.api, operation("rotate-keys", http.MethodPost, "/keys/rotate", RoleAdmin, "Make a new key, and wrap all secrets for it"), s.rotateKeys)
}

// SecretName is the part of an address that names a secret.
type SecretName struct {
	Secret string `path:"secret" pattern:"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$"`
}

// sealedName is what a secret's values are bound to. A project's name has no dot, so no two secrets share it.
func sealedName(project, name string) string { return project + "." + name }

// tagOf is what the ETag of a secret has (RFC 9110, section 8.8.3): its version, and a hash of its tools, which change without a new version,
// and of its time, since the versions of one that was removed and set again begin anew.
func tagOf(one store.Secret) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d\n", one.Set.UnixMilli())
	for _, tool := range one.Tools {
		fmt.Fprintf(sum, "%s\n", tool)
	}
	return fmt.Sprintf("%d-%x", one.Version, sum.Sum(nil)[:8])
}

// taggedSecret is a secret with its ETag.
type taggedSecret struct {
	ETag string `header:"ETag"`
	Body api.Secret
}

func taggedSecretOf(one store.Secret) *taggedSecret {
	return &taggedSecret{strconv.Quote(tagOf(one)), secretOf(one)}
}

// SecretCondition says on what condition a secret is changed.
type SecretCondition struct {
	IfMatch     string `header:"If-Match" maxLength:"64" doc:"only if the secret has this ETag: nobody has set it meanwhile, or changed its tools"`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"only if there is no such secret"`
}

// of returns the state of the secret that the request expects, or nil for any. old is how it is; of one that isn't there, it has no version.
func (c *SecretCondition) of(old store.Secret) (*store.Secret, error) {
	switch {
	case c.IfMatch != "" && c.IfNoneMatch != "":
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "the request has If-Match and If-None-Match", "send one of them")
	case c.IfNoneMatch != "" && old.Version > 0, c.IfMatch == "*" && old.Version == 0:
		return nil, store.ErrChanged
	case c.IfNoneMatch != "":
		return &store.Secret{}, nil
	case c.IfMatch == "" || c.IfMatch == "*":
		return nil, nil //nolint:nilnil // any
	case c.IfMatch != strconv.Quote(tagOf(old)):
		return nil, store.ErrChanged
	}
	return &old, nil
}

func secretOf(one store.Secret) api.Secret {
	return api.Secret{ETag: tagOf(one), Name: one.Name, Version: one.Version, Tools: one.Tools, Set: one.Set, SetBy: one.SetBy, Used: one.Used, UsedBy: one.UsedBy}
}

func (s *Server) listSecrets(ctx context.Context, in *struct {
	InProject
	NamesPage
},
) (*body[api.SecretList], error) {
	all, err := s.store.Secrets(ctx, in.Project, in.page())
	if err != nil {
		return nil, s.explain(err, "secret")
	}
	out := &body[api.SecretList]{Body: api.SecretList{Secrets: []api.Secret{}}}
	all, out.Body.Next = cut(all, in.Limit, func(one store.Secret) string { return one.Name })
	for _, one := range all {
		out.Body.Secrets = append(out.Body.Secrets, secretOf(one))
	}
	return out, nil
}

func (s *Server) getSecret(ctx context.Context, in *struct {
	InProject
	SecretName
},
) (*struct {
	ETag string `header:"ETag"`
	Body api.SecretHistory
}, error,
) {
	what := "secret " + in.Secret
	one, err := s.store.Secret(ctx, in.Project, in.Secret)
	if err != nil {
		return nil, s.explain(err, what)
	}
	versions, err := s.store.SecretVersions(ctx, in.Project, in.Secret)
	if err != nil {
		return nil, s.explain(err, what)
	}
	uses, err := s.store.SecretUses(ctx, in.Project, in.Secret)
	if err != nil {
		return nil, s.explain(err, what)
	}
	out := api.SecretHistory{Secret: secretOf(one), Versions: []api.SecretVersion{}, Uses: []api.SecretUse{}}
	for _, v := range versions {
		out.Versions = append(out.Versions, api.SecretVersion(v))
	}
	for _, u := range uses {
		out.Uses = append(out.Uses, api.SecretUse(u))
	}
	return &struct {
		ETag string `header:"ETag"`
		Body api.SecretHistory
	}{strconv.Quote(tagOf(one)), out}, nil
}

func (s *Server) setSecret(ctx context.Context, in *struct {
	InProject
	SecretName
	SecretCondition
	Body api.SetSecret
},
) (*taggedSecret, error) {
	what := "secret " + in.Secret
	old, err := s.store.Secret(ctx, in.Project, in.Secret)
	if err != nil && (!errors.Is(err, store.ErrNotFound) || in.Body.Value == nil) {
		return nil, s.explain(err, what)
	}
	is, err := in.of(old)
	if err != nil {
		return nil, s.explain(err, what)
	}
	changed, limited := "", "" // for the audit log
	if in.Body.Value != nil {
		changed = "new"
	}
	if in.Body.Tools != nil {
		old.Tools = *in.Body.Tools
		limited = cmp.Or(strings.Join(old.Tools, ","), "all tools")
	}
	subject(ctx, "secrets/"+in.Secret, "value", changed, "for", limited)
	if in.Body.Value == nil {
		if err := s.store.LimitSecret(ctx, in.Project, in.Secret, old.Tools, is); err != nil {
			return nil, s.explain(err, what)
		}
		return taggedSecretOf(old), nil
	}
	value, err := base64.StdEncoding.DecodeString(*in.Body.Value)
	if err != nil || len(value) == 0 || len(value) > secret.MaxValueBytes {
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "the value is empty, larger than 1 MiB, or not in base64", "send a value of 1 to 1048576 bytes in base64")
	}
	defer clear(value)
	one := store.Secret{Project: in.Project, Name: in.Secret, SetBy: who(ctx).Name}
	if in.Body.Tools != nil {
		one.Tools = append([]string{}, *in.Body.Tools...) // never nil, which would leave them as they are
	}
	one, err = s.store.SetSecret(ctx, one, is, func(version int, set time.Time) ([]byte, error) {
		return s.keys.Seal(sealedName(in.Project, in.Secret), version, set, value)
	})
	if err != nil {
		return nil, s.explain(err, what)
	}
	return taggedSecretOf(one), nil
}

func (s *Server) deleteSecret(ctx context.Context, in *struct {
	InProject
	SecretName
	IfMatch string `header:"If-Match" maxLength:"64" doc:"only if the secret has this ETag: nobody has set it meanwhile, or changed its tools"`
},
) (*struct{}, error) {
	what := "secret " + in.Secret
	var is *store.Secret
	if in.IfMatch != "" {
		old, err := s.store.Secret(ctx, in.Project, in.Secret)
		if err != nil {
			return nil, s.explain(err, what)
		}
		if is, err = (&SecretCondition{IfMatch: in.IfMatch}).of(old); err != nil {
			return nil, s.explain(err, what)
		}
	}
	return nil, s.explain(s.store.RemoveSecret(ctx, in.Project, in.Secret, is), what)
}

// rotateKeys makes a new key, and wraps all secrets for it while the server serves. The old keys stay: a backup may need them. A key is a
// file, so the answer to a request that may be repeated is written after it. A server that is killed between makes another key when the
// request is repeated, which does no harm.
func (s *Server) rotateKeys(ctx context.Context, _ *struct{}) (*struct{}, error) {
	s.rotating.Lock() // the same request may come twice at once
	defer s.rotating.Unlock()
	o := store.OnceOf(ctx)
	if o != nil {
		switch _, err := s.store.Answer(ctx, o.Token, o.Key); {
		case err == nil:
			o.Repeated = true
			return nil, s.explain(store.ErrRepeated, "key")
		case !errors.Is(err, store.ErrNotFound):
			return nil, s.explain(err, "key")
		}
	}
	if err := s.keys.Add(); err != nil {
		return nil, s.explain(err, "key")
	}
	all, err := s.store.Secrets(ctx, "", store.Page{})
	if err != nil {
		return nil, s.explain(err, "key")
	}
	for _, one := range all {
		sealed, err := s.keys.Rewrap(one.Sealed)
		if err == nil {
			err = s.store.RewrapSecret(ctx, one, sealed)
		}
		if err != nil {
			return nil, s.explain(err, "secret "+one.Name)
		}
	}
	if o != nil {
		o.Body = func(any) ([]byte, error) { return []byte{}, nil }
		return nil, s.explain(s.store.KeepAnswer(ctx), "key")
	}
	return nil, nil //nolint:nilnil // there is nothing to answer
}

// maySecrets checks that a tool may have the secrets that it names. tool is empty for a definition that came with the request.
func (s *Server) maySecrets(ctx context.Context, project, tool string, names []string) error {
	for _, name := range names {
		one, err := s.store.Secret(ctx, project, name)
		if errors.Is(err, store.ErrNotFound) {
			return problem(http.StatusUnprocessableEntity, run.CodeSecretNotFound, fmt.Sprintf("the project %s has no secret %s", project, name),
				fmt.Sprintf("set it with: mayfly secret set %s --project %s", name, project))
		}
		if err != nil {
			return err
		}
		if !mayUse(one, tool) {
			text, remedy := fmt.Sprintf("the secret %s is only for tools of the server with these names: %s", name, strings.Join(one.Tools, ", ")), "run one of them"
			if tool != "" {
				remedy += ", or have an author allow this one too: mayfly secret set " + name + " --for TOOL, once for each tool"
			} else {
				remedy += "; this definition came with the request, so it has no name there"
			}
			return problem(http.StatusForbidden, run.CodeForbidden, text, remedy)
		}
	}
	return nil
}

// mayUse reports whether a tool may use a secret.
func mayUse(one store.Secret, tool string) bool {
	return len(one.Tools) == 0 || slices.Contains(one.Tools, tool)
}

// notAllowedError is the error of an attempt whose tool may not use a secret any longer.
type notAllowedError struct{ secret string }

func (e *notAllowedError) Error() string {
	return "the tool may not use the secret " + e.secret + " any longer"
}

// mayAllUse says whether all tools of an attempt that name a secret may use it.
func mayAllUse(one store.Secret, as *api.Assignment, name string) bool {
	if as.Request.Tests == nil {
		return mayUse(one, as.Tool)
	}
	return !slices.ContainsFunc(tested(as.Request.Tests, as.Tool), func(t run.TestedTool) bool {
		return slices.Contains(t.Tool.SecretNames(), name) && !mayUse(one, t.Known)
	})
}

// sealFor opens the secrets that an attempt's tool names, and seals them for the runner's key. The audit log has each use before the
// runner has a value. A secret that was removed since the run was accepted is left out, and the runner says so.
func (s *Server) sealFor(ctx context.Context, l *line, as *api.Assignment, given []byte) ([]byte, error) {
	project, names := as.Project, as.Request.SecretNames()
	if len(names) == 0 {
		return nil, nil
	}
	values, err := s.openGiven(ctx, as, given)
	if err != nil {
		return nil, err
	}
	use := &store.Pending{Entry: audit.Entry{
		Action: "use-secrets", Project: project, Subject: "runs/" + as.Run, Outcome: audit.OK,
		Details: map[string]string{"attempt": strconv.Itoa(as.Attempt), "runner": shownRunner(l.runner), "pool": l.pool},
	}}
	var kept []string
	for _, name := range names {
		if value, ok := values[name]; ok {
			defer clear(value)
			use.Details["secret."+name] = "given with the run"
			continue
		}
		one, err := s.store.Secret(ctx, project, name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !mayAllUse(one, as, name) { // since the run was accepted
			return nil, &notAllowedError{name}
		}
		value, err := s.keys.Open(sealedName(project, name), one.Version, one.Sealed)
		if err != nil {
			return nil, err
		}
		defer clear(value)
		values[name] = value
		kept = append(kept, name)
		use.Details["secret."+name] = "version " + strconv.Itoa(one.Version)
	}
	data, err := json.Marshal(values)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	if err := s.store.UsedSecrets(store.Audited(ctx, use), project, kept, as.Run); err != nil {
		return nil, err
	}
	return secret.SealFor(l.key, data)
}
