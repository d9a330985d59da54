package cli

import (
	"context"
	"errors"
	"os"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/remote"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// validateRemote has a server check what is given: files with what they name, and by NAME or NAME@VERSION what it has itself. The server
// also knows the tools and the policy of the project.
func validateRemote(ctx context.Context, s streams, r *remote.Remote, given []string, asJSON bool) error {
	bad := false
	for _, arg := range given {
		b, err := bundleOf(ctx, s, r, arg)
		if err != nil {
			return err
		}
		checked, err := r.Validate(ctx, r.Project, b)
		var p *api.Problem
		if err != nil && (!errors.As(err, &p) || p.Reason != run.CodeInvalidDefinition && p.Reason != run.CodeInvalidInput) {
			return err
		}
		one := checkedRemote{File: arg, Valid: err == nil}
		if p != nil {
			one.Problems, one.Code, one.Error, bad = p.Errors, p.Reason, p.Error(), true
		} else {
			one.Warnings = checked.Warnings
		}
		if err := one.print(s, asJSON); err != nil {
			return err
		}
	}
	if bad {
		return &exitError{status: run.ExitFailed}
	}
	return nil
}

// checkedRemote is what a server says of a definition.
type checkedRemote struct {
	File     string      `json:"file"`
	Valid    bool        `json:"valid"`
	Problems []api.Wrong `json:"problems,omitempty"`
	Warnings []api.Wrong `json:"warnings,omitempty"`
	Code     run.Code    `json:"code,omitempty"`
	Error    string      `json:"error,omitempty"`
}

func (c *checkedRemote) print(s streams, asJSON bool) error {
	if asJSON {
		return printJSONLine(s.out, c)
	}
	for _, w := range c.Warnings {
		printWrong(s.err, w)
	}
	if !c.Valid {
		_, err := s.err.Write([]byte(shown(c.Error) + "\n"))
		return err
	}
	_, err := s.out.Write([]byte(shown(c.File) + ": ok\n"))
	return err
}

// isOfServer reports whether an argument is the name of a tool of a server, and no file.
func isOfServer(arg string) bool {
	_, err := os.Stat(arg)
	return arg != "-" && err != nil && !definition.IsPath(arg)
}

// bundleOf is the bundle of a tool of the server, or of a file that is sent.
func bundleOf(ctx context.Context, s streams, r *remote.Remote, arg string) (*api.Bundle, error) {
	if isOfServer(arg) {
		f, err := filesOf(ctx, r, arg)
		if err != nil {
			return nil, err
		}
		return &f.Bundle, nil
	}
	if arg == "-" {
		_, text, err := parseDefinition(s.in, arg)
		if err != nil {
			return nil, err
		}
		return r.SendText(ctx, text)
	}
	all, err := pushed(s, []string{arg})
	if err != nil {
		return nil, err
	}
	b, _, err := r.Send(ctx, all[0].file, all[0].def, all[0].what)
	return b, err
}

// filesOf are the files of NAME or NAME@VERSION.
func filesOf(ctx context.Context, r *remote.Remote, arg string) (*api.VersionFiles, error) {
	name, number, err := versioned(arg)
	if err != nil {
		return nil, err
	}
	return r.Files(ctx, r.Project, name, number)
}
