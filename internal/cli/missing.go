package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mayfly-run/mayfly/internal/tool"
)

// alsoSecrets adds to what is wrong with a workflow's inputs the secrets that nobody has, so that all that is missing is named
// at once. A step with a condition isn't looked at, since whether it runs can't be known without the inputs.
func (f *runFlags) alsoSecrets(ctx context.Context, s streams, w *tool.Workflow, wrong error) error {
	if f.dryRun || f.only != "" || f.from != "" || len(f.skip) > 0 {
		return wrong // not all that is named is needed
	}
	env, err := variables(f.env)
	if err != nil {
		return errors.Join(wrong, err)
	}
	h, err := openHost("mayfly run", f.secrets, s.in, f.pull, nil)
	if err != nil {
		return errors.Join(wrong, err)
	}
	errs := []error{wrong}
	asked := map[string]bool{}
	for _, step := range w.All() {
		if step.Condition != nil {
			continue
		}
		for _, name := range neededSecrets(w, step, env) {
			if asked[name] {
				continue
			}
			asked[name] = true
			if _, err := h.runner.Secrets.Get(ctx, name); errors.Is(err, fs.ErrNotExist) { // the value is dropped
				errs = append(errs, fmt.Errorf("step %s: %w", step.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}
