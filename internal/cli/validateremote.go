package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/remote"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/failure"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// validateRemote has a server check what is given: files with what they name, and by NAME or NAME@VERSION what it has itself. The server
// also knows the tools and the policy of the project. What is wrong with one of them doesn't keep it from the others; a server that can't be asked does.
func validateRemote(ctx context.Context, s streams, r *remote.Remote, given []string, asJSON bool) error {
	bad := false
	for _, arg := range given {
		one := checkedRemote{File: arg}
		var checked *api.Checked
		b, err := bundleOf(ctx, s, r, arg)
		if err == nil {
			checked, err = r.Validate(ctx, r.Project, b)
		}
		switch {
		case err == nil:
			one.Valid, one.Warnings = true, checked.Warnings
		case ofDefinition(err):
			bad = true
			one.refused(err)
		default:
			return err
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

// ofDefinition says whether an error is about one definition, and not about the server.
func ofDefinition(err error) bool {
	var p *api.Problem
	if errors.As(err, &p) {
		return slices.Contains([]run.Code{run.CodeInvalidDefinition, run.CodeInvalidInput, run.CodeNoSuchThing}, p.Reason)
	}
	return !slices.Contains([]run.Code{run.CodeServerUnreachable, run.CodeServerRefused, run.CodeCancelled}, failure.CodeOf(err))
}

// checkedRemote is what a server says of a definition, or why it can't be sent.
type checkedRemote struct {
	File     string      `json:"file"`
	Valid    bool        `json:"valid"`
	Problems []api.Wrong `json:"problems,omitempty"`
	Warnings []api.Wrong `json:"warnings,omitempty"`
	Code     run.Code    `json:"code,omitempty"`
	Error    string      `json:"error,omitempty"`
}

// refused says what is wrong.
func (c *checkedRemote) refused(err error) {
	c.Code, c.Error = failure.CodeOf(err), err.Error()
	var p *api.Problem
	if errors.As(err, &p) {
		c.Problems = p.Errors
	}
	for _, one := range shape.Problems(err) {
		c.Problems = append(c.Problems, api.Wrong{Where: one.Position.String(), Message: one.Text, Hint: one.Hint})
	}
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

// isOfServer reports whether an argument is the name of a tool, and no path. With a server it is that of the server's tool, whatever is in this
// folder: what is sent must not depend on where one is.
func isOfServer(arg string) bool {
	return arg != "-" && arg != "." && arg != ".." && !definition.IsPath(arg)
}

// asName tells whoever gave a name that a definition here has it too.
func asName(s streams, arg string) {
	if _, _, err := toolPath(arg); err == nil {
		fmt.Fprintf(s.err, "mayfly: %s is a name, so it is that of the server's tool; for the definition here, write ./%s\n", shown(arg), shown(arg))
	}
}

// bundleOf is the bundle of a tool of the server, or of a file that is sent.
func bundleOf(ctx context.Context, s streams, r *remote.Remote, arg string) (*api.Bundle, error) {
	if isOfServer(arg) {
		asName(s, arg)
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
