package server

import (
	"context"
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
	b, err := bundleOf(v)
	if err != nil {
		return nil, s.explain(err, what)
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
	d, err := s.definition(ctx, project, name, l.tool)
	return api.Defined{Definition: d}, err
}

// definition is a tool with all defaults, also those of the project's policy, which knows it by name.
func (s *Server) definition(ctx context.Context, project, name string, t *tool.Tool) (*api.Definition, error) {
	p, err := s.policy(ctx, project)
	if err != nil {
		return nil, err
	}
	return definitionOf(p.For(name).Filled(t)), nil
}

// definitionOf is a tool with all its defaults.
func definitionOf(t *tool.Tool) *api.Definition {
	r := t.Resources
	d := &api.Definition{
		Name: t.Name, Description: t.Description, Image: t.Image, Args: argsOf(t.Args), Environment: []api.Variable{}, Volumes: []api.Volume{}, Outputs: t.Outputs,
		Labels: t.Labels, Network: string(t.Network.Mode), User: t.Security.User, ReadOnly: *t.Security.ReadOnly, Capabilities: t.Security.Capabilities,
		Runtime: t.Security.Runtime, WorkingDir: t.WorkingDir,
		Limits: api.ToolLimits{
			CPU: float64(r.CPU) / 1000, MemoryBytes: r.Memory, DiskBytes: r.Disk, PIDs: r.PIDs, NoFile: r.NoFile, BandwidthBits: r.Bandwidth,
			TimeoutSeconds: t.Timeout.Seconds(),
		},
	}
	if t.Command != nil {
		d.Command = t.Command.Args()
	}
	if t.Script != nil {
		d.Script, d.ScriptFile = t.Script.Text, t.Script.File
	}
	for _, v := range t.ResolveEnvironment(nil, nil, nil) {
		d.Environment = append(d.Environment, api.Variable{Name: v.Name, Value: v.Literal, Secret: v.Secret})
	}
	for _, v := range t.Volumes {
		d.Volumes = append(d.Volumes, api.Volume{Name: v.Name, MountPath: v.MountPath, Secret: v.Secret, File: v.File, SizeBytes: v.Size, Cache: v.Cache})
	}
	for _, rule := range t.Network.Egress {
		d.Egress = append(d.Egress, rule.String())
	}
	if again := t.Retry; again != nil {
		d.Retry = &api.Retry{
			Attempts: again.Attempts, BackoffSeconds: again.Backoff.Seconds(), MaxBackoffSeconds: again.MaxBackoff.Seconds(), OnExit: again.OnExit,
		}
	}
	return d
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
