package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/program"
)

func newVersionCommand(s streams) *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Print the version of this program. With --all, print the version and the path of each of Mayfly's programs,
and warn of those whose version is another one.`,
		Example: "  mayfly version --all",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if all {
				return printInstalled(s, installed(c.Context()), asJSON)
			}
			return program.PrintVersion(s.out, program.Mayfly, asJSON)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "print the versions and paths of all of Mayfly's programs")
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	return c
}

// installedProgram is one of Mayfly's programs on this machine, or what is wrong with it.
type installedProgram struct {
	Name string `json:"name"`
	Path string `json:"path,omitempty"`
	*program.Build
	Error string `json:"error,omitempty"`

	missing bool
}

// installed looks for the programs that this one uses, and asks each for its version.
func installed(ctx context.Context) []installedProgram {
	names := []string{program.CEL, program.Daemon}
	if runtime.GOOS == "linux" {
		names = append([]string{program.Shim}, names...)
	}
	self := installedProgram{Name: program.Mayfly}
	build := program.ThisBuild()
	self.Build = &build
	var err error
	if self.Path, err = os.Executable(); err != nil {
		self.Error = err.Error()
	}
	list := []installedProgram{self}
	for _, name := range names {
		p := installedProgram{Name: name}
		var notFound *program.NotFoundError
		p.Path, err = program.Find(name)
		p.missing = errors.As(err, &notFound)
		if err == nil {
			var b program.Build
			if b, err = program.BuildOf(ctx, p.Path); err == nil {
				p.Build = &b
			}
		}
		if err != nil {
			p.Error = err.Error()
		}
		list = append(list, p)
	}
	return list
}

// printInstalled prints a list whose first element is this program. A program that is missing or has another version is a
// warning and not a failure, as in kubectl version.
func printInstalled(s streams, list []installedProgram, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(s.out).Encode(struct {
			*program.Build
			Programs []installedProgram `json:"programs"`
		}{list[0].Build, list})
	} else {
		err = printInstalledTable(s.out, list)
	}
	for _, p := range list {
		switch {
		case p.Error != "" && !p.missing:
			fmt.Fprintf(s.err, "mayfly: warning: %s\n", shown(p.Error))
		case p.Build != nil && p.Version != list[0].Version:
			fmt.Fprintf(s.err, "mayfly: warning: %s is version %s and mayfly is version %s; install all programs from the same release\n",
				shown(p.Path), shown(p.Version), list[0].Version)
		}
	}
	return err
}

func printInstalledTable(w io.Writer, list []installedProgram) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range list {
		switch {
		case p.missing:
			fmt.Fprintf(t, "%s\tnot installed\n", p.Name)
		case p.Build == nil:
			fmt.Fprintf(t, "%s\tunknown\t\t%s\n", p.Name, shown(p.Path))
		default:
			fmt.Fprintf(t, "%s\t%s\t%s/%s\t%s\n", p.Name, shown(p.Version), shown(p.OS), shown(p.Arch), shown(p.Path))
		}
	}
	return t.Flush()
}
