package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

func (s *Server) registerDefined() {
	huma.Register(s.api, operation("get-definition", http.MethodGet, "/projects/{project}/tools/{tool}/versions/{version}/definition", RoleViewer,
		"Get what a version of a tool defines: args, limits and network rules; of a workflow, the graph of its steps"), s.getDefined)
}

func (s *Server) getDefined(ctx context.Context, in *struct {
	InProject
	ToolName
	VersionNumber
},
) (*body[api.Defined], error) {
	what := versionText(in.Tool, in.Version)
	v, err := s.store.Version(ctx, in.Project, in.Tool, in.Version)
	if err != nil {
		return nil, s.explain(err, what)
	}
	var b api.Bundle
	if err := json.Unmarshal(v.Manifest, &b); err != nil {
		return nil, s.explain(fmt.Errorf("read version %d of %s: %w", v.Version, v.Tool, err), what)
	}
	l, err := s.load(ctx, &b)
	if err != nil {
		return nil, s.explain(err, what)
	}
	out, err := s.defined(ctx, in.Project, knownAs(v.Tool, v.Version), l)
	if err != nil {
		return nil, s.explain(err, what)
	}
	return &body[api.Defined]{Body: out}, nil
}

// defined describes what a bundle defines. name is what the policy of the project knows it by.
func (s *Server) defined(ctx context.Context, project, name string, l *loaded) (api.Defined, error) {
	if l.workflow != nil {
		return api.Defined{Workflow: graphOf(l.workflow)}, nil
	}
	p, err := s.policy(ctx, project)
	if err != nil {
		return api.Defined{}, err
	}
	return api.Defined{Definition: definitionOf(p.For(name).Filled(l.tool))}, nil
}

// graphOf is a workflow with its edges. It needs no tools of the project.
func graphOf(w *definition.Workflow) *api.Flow {
	p := workflow.NewPlan(w, nil)
	f := &api.Flow{
		Name: w.Name, Description: w.Description, Inputs: inputsOf(w), Labels: w.Labels, TimeoutSeconds: w.Timeout.Seconds(), MaxParallel: w.MaxParallel,
		Steps: []api.FlowStep{},
	}
	for i, step := range p.Steps {
		one := api.FlowStep{
			Name: step.Name, Tool: step.Uses.Name, Finally: i >= len(w.Steps), After: []api.Edge{}, Repeated: step.ForEach != nil,
			ContinueOnFailure: step.ContinueOnFailure, Runner: step.Runner, TimeoutSeconds: step.Timeout.Seconds(),
		}
		if step.Condition != nil {
			one.Condition = step.Condition.Text
		}
		carries := map[string][]string{} // by the step that it comes from
		seen := map[definition.Reference]bool{}
		step.References(func(r definition.Reference, _ shape.Position) {
			if r.From == definition.FromStep && !seen[r] {
				seen[r] = true
				carries[r.Step] = append(carries[r.Step], r.Name)
			}
		})
		for _, a := range step.Artifacts {
			if a.From == "" {
				one.Artifacts = append(one.Artifacts, a.Name)
			} else {
				carries[a.From] = append(carries[a.From], a.Name)
			}
		}
		for _, j := range p.Before(i) {
			before := p.Steps[j].Name
			one.After = append(one.After, api.Edge{Step: before, Carries: carries[before]})
		}
		f.Steps = append(f.Steps, one)
	}
	return f
}

// inputsOf are the inputs of a workflow, which become no variables.
func inputsOf(w *definition.Workflow) []api.Arg {
	all := argsOf(w.Inputs)
	for i := range all {
		all[i].Env = ""
	}
	return all
}

func argsOf(args []tool.Arg) []api.Arg {
	all := []api.Arg{}
	for _, a := range args {
		arg := api.Arg{Name: a.Name, Type: a.Type, Description: a.Description, Required: a.Required, Env: a.Env}
		if a.Default != nil {
			arg.Default = a.Default.Decoded()
		}
		for _, o := range a.Options {
			arg.Options = append(arg.Options, o.Decoded())
		}
		all = append(all, arg)
	}
	return all
}
