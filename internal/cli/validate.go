package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/failure"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/workflow"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

func newValidateCommand(s streams) *cobra.Command {
	var asJSON bool
	var w whereFlags
	c := &cobra.Command{
		Use:   "validate FILE|FOLDER|NAME…",
		Short: "Check files of tools, workflows, tests and mocks",
		Long: `Check files of tools, workflows, tests and mocks, which it recognises by their keys: the format, names,
values, contradictions, and what steps refer to. In a folder, it checks every .yaml and .yml file at any
depth, except in hidden folders and those of packages. It prints each problem as file:line:column. The
exit status is 1 if there is a problem. Warnings are about things that run but are probably mistakes, and
about hosts that share their addresses with others; they don't change the exit status.

With --server or --context, a server checks them, which also knows the tools and the policy of the project.
Tools and workflows are sent with what they name; a NAME without / and .yaml is a tool that the server has; write ./FOLDER for a folder.`,
		Example: `  mayfly validate check.yaml
  mayfly validate tools/*/tool.yaml
  generate-tool | mayfly validate -
  mayfly validate release.yaml --server https://mayfly.example.com`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, given []string) error {
			r, err := w.given()
			if err != nil {
				return err
			}
			if r != nil {
				defer r.Close()
				return validateRemote(cmd.Context(), s, r, given, asJSON)
			}
			files, err := definitionsIn(given)
			if err != nil {
				return err
			}
			bad, byHost := false, false
			checked := make([]checkedFile, len(files))
			for i, file := range files {
				def, err := validate(cmd.Context(), s, file)
				checked[i] = checkedFile{name: file, err: err}
				if def != nil {
					checked[i].warnings = def.HostWarnings()
					byHost = byHost || err == nil && def.OpensHosts()
				}
				bad = bad || err != nil
			}
			own := ownProblems(checked)
			for _, file := range checked {
				if err := file.print(s, asJSON, own); err != nil {
					return err
				}
			}
			if byHost && !asJSON {
				fmt.Fprintln(s.err, "note: a rule by host allows the addresses of the name for 10.5 minutes after each look-up, and so any other site at these addresses")
			}
			if bad {
				return &exitError{status: run.ExitFailed}
			}
			return nil
		},
	}
	w.add(c.Flags())
	jsonFlag(c.Flags(), &asJSON, "print one JSON object per file")
	return c
}

// definitionsIn returns the files to check: those given, and those below folders. A name is the name of a tool.
func definitionsIn(given []string) ([]string, error) {
	var files []string
	for _, path := range given {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			files = append(files, path) // reading it says what is wrong
			continue
		}
		if _, byName, err := toolPath(path); err == nil && byName { // which a folder of the name doesn't hide
			files = append(files, path)
			continue
		}
		below, err := filesBelow(path, func(file string) bool {
			ext := filepath.Ext(file)
			return (ext == ".yaml" || ext == ".yml") && filepath.Base(file) != definition.ProjectFile
		})
		if err != nil {
			return nil, err
		}
		if len(below) == 0 {
			return nil, fmt.Errorf("there are no .yaml files below %s", path)
		}
		files = append(files, below...)
	}
	return files, nil
}

// validate reads a definition and finds everything that is wrong with it before it runs. def is nil for other files, and if it
// can't be read.
func validate(ctx context.Context, s streams, file string) (def *definition.Definition, err error) {
	if definition.IsTestFile(file) {
		return nil, validateSuite(file)
	}
	var data []byte
	if file == "-" {
		if data, err = readDefinition(s.in); err != nil {
			return nil, err
		}
	}
	def, _, err = loadDefinition(bytes.NewReader(data), file)
	var other *definition.NotRunnableError
	if errors.As(err, &other) {
		switch {
		case file == "-":
			return nil, validateOther(other.Mocks, data)
		case other.Mocks:
			return nil, suite.LoadMocks(file)
		}
		return nil, validateSuite(file)
	}
	switch {
	case err != nil:
		return nil, err
	case def.Tool != nil:
		return def, def.Tool.Runnable()
	}
	conditions := condition.NewProcess("")
	err = workflow.CheckConditions(ctx, workflow.NewPlan(def.Workflow, nil), conditions)
	return def, errors.Join(err, conditions.Close())
}

// validateOther checks tests and mocks from standard input; the files that they name are in the current folder.
func validateOther(mocks bool, data []byte) error {
	if mocks {
		_, err := suite.ParseMocks("-", data)
		return err
	}
	suite, err := suite.Parse("-", data)
	if err != nil {
		return err
	}
	dir, err := workingDir()
	if err != nil {
		return err
	}
	suite.SetDir(dir)
	return checkSuite(suite)
}

// checkedFile is a file and what is wrong with it.
type checkedFile struct {
	name     string
	warnings []shape.Problem
	err      error
}

// ownProblems returns the problems that files have themselves, with the names of the files. A file that depends on such a file has the
// same problems.
func ownProblems(files []checkedFile) map[shape.Problem]string {
	own := map[shape.Problem]string{}
	for _, f := range files {
		for _, p := range shape.Problems(f.err) {
			if p.File == f.name {
				own[absolute(p)] = f.name
			}
		}
	}
	return own
}

// absolute returns a problem whose file is written in the same way by each file that depends on it.
func absolute(p shape.Problem) shape.Problem {
	if path, err := filepath.Abs(p.File); err == nil {
		p.File = path
	}
	return p
}

// print prints the warnings and errors of a file, or that it is valid. A problem of another file that is checked too is printed only
// there; own has those.
func (f *checkedFile) print(s streams, asJSON bool, own map[shape.Problem]string) error {
	if asJSON {
		out := struct {
			File     string          `json:"file"`
			Valid    bool            `json:"valid"`
			Problems []shape.Problem `json:"problems,omitempty"`
			Warnings []shape.Problem `json:"warnings,omitempty"`
			Code     run.Code        `json:"code,omitempty"`
			Error    string          `json:"error,omitempty"`
		}{File: f.name, Valid: f.err == nil, Warnings: f.warnings, Code: failure.CodeOf(f.err)}
		var problems *shape.Error
		if errors.As(f.err, &problems) {
			out.Problems = problems.Problems
		} else if f.err != nil {
			out.Error = f.err.Error()
		}
		return json.NewEncoder(s.out).Encode(out)
	}
	for _, w := range f.warnings {
		w.Text = "warning: " + w.Text
		if _, err := fmt.Fprintln(s.err, w); err != nil {
			return err
		}
	}
	if f.err == nil {
		_, err := fmt.Fprintf(s.out, "%s: ok\n", shown(f.name))
		return err
	}
	lines, others := f.split(f.err, own)
	for _, other := range slices.Compact(slices.Sorted(slices.Values(others))) {
		lines = append(lines, fmt.Sprintf("%s: depends on %s, which has problems", f.name, other))
	}
	_, err := fmt.Fprintln(s.err, shown(strings.Join(lines, "\n")))
	return err
}

// split returns what to print of an error, without the problems that other files have themselves, and these files.
func (f *checkedFile) split(err error, own map[shape.Problem]string) (lines, others []string) {
	switch e := err.(type) { //nolint:errorlint // it unwraps step by step
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			l, o := f.split(one, own)
			lines, others = append(lines, l...), append(others, o...)
		}
		return lines, others
	case *shape.PlacedError:
		if lines, others := f.split(e.Err, own); len(lines) == 0 {
			return nil, others
		}
	case *shape.Error:
		for _, p := range e.Problems {
			if other, found := own[absolute(p)]; found && p.File != f.name {
				others = append(others, other)
			} else {
				lines = append(lines, p.String())
			}
		}
		return lines, others
	}
	return []string{err.Error()}, nil
}
