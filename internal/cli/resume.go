package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mayfly-run/mayfly/internal/host"
	"github.com/mayfly-run/mayfly/internal/ownership"
)

// resumeWorkflow resumes a run of a workflow.
func (f *runFlags) resumeWorkflow(ctx context.Context, s streams) (err error) {
	h, err := host.Open()
	if err != nil {
		return err
	}
	vetted, err := f.vetResumed(ctx, h)
	if err != nil {
		return err
	}
	if err := enterNamespace(vetted); err != nil {
		return err
	}
	if err := f.readEnvFile(); err != nil {
		return err
	}
	if err := f.checkWorkflowFlags(); err != nil {
		return err
	}
	if len(f.args) > 0 {
		return runUsage("--arg: a resumed run keeps its inputs; start the workflow again to give others")
	}
	r, err := h.Resume(ctx, f.resume)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := f.checkSecretFlags(toolsOf(r.Workflow)...); err != nil {
		return err
	}
	f.secrets = append(missingFrom(r.Header.Secrets, f.secrets), f.secrets...)
	f.env = append(r.Header.Environment, f.env...)
	if r.Succeeded() && f.from == "" && f.only == "" {
		fmt.Fprintf(s.err, "mayfly: run %s has already succeeded; to run part of it again, add --from STEP\n", r.Header.ID)
		return r.RemoveArtifacts() // it may have been killed before it did so
	}
	return f.execute(ctx, s, h, r)
}

// vetResumed is [vet] for the workflow of a run that is resumed.
func (f *runFlags) vetResumed(ctx context.Context, h *host.Host) (ownership.Vetted, error) {
	if os.Geteuid() == 0 {
		return "", nil
	}
	r, err := h.Resume(ctx, f.resume)
	if err != nil {
		return "", err
	}
	return ownership.VettedAll, r.Close()
}

// missingFrom returns the secret flags of a past run that the command line doesn't give again.
func missingFrom(past, now []string) []string {
	given := map[string]bool{}
	for _, flag := range now {
		name, _, _ := strings.Cut(flag, "=")
		given[name] = true
	}
	var out []string
	for _, flag := range past {
		if name, _, _ := strings.Cut(flag, "="); !given[name] {
			out = append(out, flag)
		}
	}
	return out
}
