package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// A project's policy is the operator's, so only an administrator of all projects changes it: its addresses for changes aren't below the
// project's. It is checked when a run is accepted, and the runner that gets the run enforces it beside the policy of its host.

func (s *Server) registerPolicies() {
	huma.Register(s.api, operation("get-policy", http.MethodGet, "/projects/{project}/policy", RoleViewer, "Get the policy of a project"), s.getPolicy)
	huma.Register(s.api, operation("set-policy", http.MethodPut, "/policies/{name}", RoleAdmin, "Set the policy of a project"), s.setPolicy)
	huma.Register(s.api, operation("delete-policy", http.MethodDelete, "/policies/{name}", RoleAdmin, "Remove the policy of a project"), s.deletePolicy)
}

// policyFile stands for the policy's file in places.
const policyFile = "policy.yaml"

func parsePolicy(project, text string) (*policy.Policy, error) {
	return policy.Parse("the project "+project, policyFile, []byte(text))
}

// taggedPolicy is a policy with its version as an ETag (RFC 9110, section 8.8.3).
type taggedPolicy struct {
	ETag string `header:"ETag"`
	Body api.Policy
}

func policyOf(p store.Policy) *taggedPolicy {
	return &taggedPolicy{strconv.Quote(strconv.Itoa(p.Version)), api.Policy{Project: p.Project, Version: p.Version, Text: p.Text, Set: p.Set, SetBy: p.SetBy}}
}

func (s *Server) getPolicy(ctx context.Context, in *InProject) (*taggedPolicy, error) {
	p, err := s.store.Policy(ctx, in.Project)
	if err != nil {
		return nil, s.explain(err, "policy of the project "+in.Project)
	}
	return policyOf(p), nil
}

// PolicyName says which project's policy is changed, and on what condition.
type PolicyName struct {
	Name        string `path:"name" pattern:"^[a-z0-9][a-z0-9-]{0,62}$" doc:"the project"`
	IfMatch     string `header:"If-Match" maxLength:"64" doc:"only if the policy has this ETag"`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"only if there is no policy"`
}

// condition returns the version that the request expects.
func (n *PolicyName) condition() (int, error) {
	switch {
	case n.IfNoneMatch != "" && n.IfMatch == "":
		return 0, nil
	case n.IfMatch == "" || n.IfMatch == "*" && n.IfNoneMatch == "":
		return store.AnyVersion, nil
	}
	if v, err := strconv.Atoi(strings.Trim(n.IfMatch, `"`)); err == nil && v > 0 && n.IfNoneMatch == "" {
		return v, nil
	}
	return 0, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "If-Match is not an ETag of a policy", `send the ETag of its answer, such as "3", or either If-Match or If-None-Match`)
}

func (s *Server) setPolicy(ctx context.Context, in *struct {
	PolicyName
	Body api.SetPolicy
},
) (*taggedPolicy, error) {
	if _, err := parsePolicy(in.Name, in.Body.Text); err != nil {
		return nil, s.explain(err, "policy")
	}
	if strings.TrimSpace(in.Body.Text) == "" {
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "the policy is empty", "to have none, remove it: mayfly policy rm")
	}
	out, err := s.changePolicy(ctx, &in.PolicyName, in.Body.Text)
	if err != nil {
		return nil, err
	}
	used, err := s.store.Used(ctx, in.Name)
	if err != nil {
		s.log.Warn("look whether a project is used", "project", in.Name, "error", err) // the policy is set
	}
	out.Body.Unused = err == nil && !used
	return out, nil
}

func (s *Server) deletePolicy(ctx context.Context, in *PolicyName) (*struct{}, error) {
	_, err := s.changePolicy(ctx, in, "")
	return nil, err
}

func (s *Server) changePolicy(ctx context.Context, n *PolicyName, text string) (*taggedPolicy, error) {
	is, err := n.condition()
	if err != nil {
		return nil, err
	}
	subject(ctx, "policies/"+n.Name)
	if p := store.PendingOf(ctx); p != nil {
		p.Project = n.Name
	}
	p, err := s.store.SetPolicy(ctx, store.Policy{Project: n.Name, Text: text, SetBy: who(ctx).Name}, is)
	s.policies.forget(func(project string, _ cachedPolicy) bool { return project == n.Name })
	if err != nil {
		return nil, s.explain(err, "policy of the project "+n.Name)
	}
	return policyOf(p), nil
}

// cachedPolicy is the policy of a project.
type cachedPolicy struct {
	*policy.Policy // nil for none
	assigned       *api.AssignedPolicy
}

const (
	// policyAge is when a policy that was set on another server holds here.
	policyAge    = time.Second
	mostPolicies = 1000
)

// policy returns the policy of a project.
func (s *Server) policy(ctx context.Context, project string) (cachedPolicy, error) {
	return s.policies.get(ctx, project, func(ctx context.Context, old cachedPolicy) (got cachedPolicy, err error) {
		p, err := s.store.Policy(ctx, project)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return got, nil
		case err != nil:
			return got, err
		case old.assigned != nil && old.assigned.Version == p.Version:
			return old, nil
		}
		if got.Policy, err = parsePolicy(project, p.Text); err != nil {
			return got, fmt.Errorf("read the policy of the project %s: %w", project, err)
		}
		got.assigned = &api.AssignedPolicy{Version: p.Version, Text: p.Text}
		return got, nil
	})
}

// mayRun checks that a project's policy allows a tool with the secrets that it is given. name is what the server knows it by, and empty for a
// definition that came with the request.
func (s *Server) mayRun(ctx context.Context, project, name string, t *tool.Tool, given []string) error {
	p, err := s.policy(ctx, project)
	if err != nil || p.Policy == nil {
		return err
	}
	_, err = p.For(name).Given(given).Apply(t)
	var denied *policy.DeniedError
	if err != nil && !errors.As(err, &denied) {
		return problem(http.StatusUnprocessableEntity, run.CodeInvalidDefinition, err.Error(), "correct the tool")
	}
	return err
}

// assignPolicy adds its project's policy to an attempt.
func (s *Server) assignPolicy(ctx context.Context, as *api.Assignment) error {
	p, err := s.policy(ctx, as.Project)
	as.Policy = p.assigned
	return err
}

// knownAs is what the server knows the tool of a run by; a definition that came with its request has no version.
func knownAs(tool string, version int) string {
	if version == 0 {
		return ""
	}
	return tool
}
