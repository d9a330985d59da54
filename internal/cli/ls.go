package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/failure"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// listed is a tool or a workflow as `mayfly ls` shows it.
type listed struct {
	// Name is what `mayfly run` takes.
	Name        string           `json:"name"`
	Kind        string           `json:"kind"`
	Description string           `json:"description"`
	Arguments   []listedArgument `json:"arguments"`
	File        string           `json:"file"`
	// Error says what is wrong with the file, and Code says it for programs; the other fields aren't known then.
	Error string   `json:"error,omitempty"`
	Code  run.Code `json:"code,omitempty"`
}

type listedArgument struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description"`
	Required    bool   `json:"required"`
}

func newListCommand(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the tools and workflows that can run here",
		Long: `List the tools and workflows that can run here: those in this folder, and those that mayfly run finds by
name in the tools folders of this folder and of those above it. An argument in brackets is optional.`,
		Example: "  mayfly ls\n  mayfly ls --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			list, err := listHere()
			if err != nil {
				return err
			}
			if asJSON {
				return printList(s.out, list)
			}
			return printHere(s, list)
		},
	}
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	return c
}

func listHere() ([]listed, error) {
	var list []listed
	entries, err := os.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || ext != ".yaml" && ext != ".yml" || definition.IsTestFile(e.Name()) {
			continue
		}
		def, err := definition.Load(e.Name())
		if err != nil {
			if isMeant(e.Name()) {
				text, _, _ := strings.Cut(err.Error(), "\n")
				list = append(list, listed{Name: e.Name(), Arguments: []listedArgument{}, Error: text, Code: failure.CodeOf(err)})
			}
			continue
		}
		if err := ownership.CheckBelow(".", e.Name()); err != nil {
			list = append(list, listed{Name: e.Name(), Arguments: []listedArgument{}, Error: err.Error(), Code: failure.CodeOf(err)})
			continue
		}
		list = append(list, describe(e.Name(), def))
	}
	names, err := definition.Names(".")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		def, err := definition.LoadNamed(".", name)
		if err != nil {
			text, _, _ := strings.Cut(err.Error(), "\n")
			list = append(list, listed{Name: name, Arguments: []listedArgument{}, Error: text, Code: failure.CodeOf(err)})
			continue
		}
		list = append(list, describe(name, def))
	}
	return list, nil
}

// isMeant reports whether a file that can't be read as a definition is meant to be one; others may be anything.
func isMeant(file string) bool {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxDefinitionBytes {
		return false
	}
	data, err := os.ReadFile(file)
	return err == nil && (hasKey(data, "image") && (hasKey(data, "command") || hasKey(data, "script")) || hasKey(data, "parallel_tools") ||
		hasKey(data, "workflow") && !hasKey(data, "stages"))
}

func describe(name string, def *definition.Definition) listed {
	l := listed{Name: name, Kind: "tool", Arguments: []listedArgument{}}
	var args []tool.Arg
	if t := def.Tool; t != nil {
		l.Description, l.File, args = t.Description, t.Source.Path, t.Args
	} else {
		w := def.Workflow
		l.Kind, l.Description, l.File, args = "workflow", w.Description, w.Source.Path, w.Inputs
	}
	for _, a := range args {
		l.Arguments = append(l.Arguments, listedArgument{Name: a.Name, Type: a.Type, Description: a.Description, Required: a.Required && a.Default == nil})
	}
	return l
}

func printHere(s streams, list []listed) error {
	if len(list) == 0 {
		fmt.Fprintln(s.err, "mayfly: there are no tools here; mayfly init NAME writes one")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tARGUMENTS\tDESCRIPTION")
	for _, l := range list {
		args := make([]string, len(l.Arguments))
		for i, a := range l.Arguments {
			args[i] = a.Name
			if !a.Required {
				args[i] = "[" + a.Name + "]"
			}
		}
		text, _, _ := strings.Cut(l.Description, "\n")
		if l.Error != "" {
			text = "can't be read: " + l.Error
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", cell(l.Name), l.Kind, cell(strings.Join(args, " ")), cell(text))
	}
	return w.Flush()
}
