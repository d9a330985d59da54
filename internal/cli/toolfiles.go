package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/remote"
)

// versioned reads NAME or NAME@VERSION; version 0 is the latest.
func versioned(text string) (name string, version int, err error) {
	name, number, given := strings.Cut(text, "@")
	if !given {
		return name, 0, nil
	}
	if version, err = versionNumber(number); err != nil {
		return "", 0, fmt.Errorf("%q: %w", text, err)
	}
	return name, version, nil
}

func versionNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not the number of a version, from 1 on", text)
	}
	return n, nil
}

func newToolDiffCommand(s streams) *cobra.Command {
	var w whereFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff NAME [V1 [V2]]",
		Short: "Show what two versions of a tool on a server differ in",
		Long: `Show what version V2 of a tool changes since V1, as diff -u does. Without V2 it is the latest version, and without V1 what the latest
version changes.`,
		Example: `  mayfly tool diff backup
  mayfly tool diff backup 3 5`,
		Args: cobra.RangeArgs(1, 3),
		RunE: func(c *cobra.Command, args []string) error {
			numbers := [2]int{}
			for i, text := range args[1:] {
				n, err := versionNumber(text)
				if err != nil {
					return &usageError{command: "mayfly tool diff", err: err}
				}
				numbers[i] = n
			}
			r, err := w.mustOpen("mayfly tool diff")
			if err != nil {
				return err
			}
			defer r.Close()
			d, err := r.Diff(c.Context(), r.Project, args[0], numbers[0], numbers[1])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSONLine(s.out, d)
			}
			return printDiff(s.out, args[0], d)
		},
	}
	w.add(c.Flags())
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	return c
}

func printDiff(w io.Writer, name string, d *api.Diff) error {
	for _, f := range d.Files {
		head := fmt.Sprintf("%s@%d %s@%d: %s %s", name, d.From, name, d.To, f.Change, f.Path)
		if f.Mode != "" {
			head += ", now " + f.Mode
		}
		if f.Omitted != "" {
			head += ": " + f.Omitted
		}
		fmt.Fprintln(w, shown(head))
		// Each line on its own: what is in a file must not control a terminal.
		for line := range strings.Lines(f.Text) {
			if _, err := fmt.Fprintln(w, shown(strings.TrimSuffix(line, "\n"))); err != nil {
				return err
			}
		}
	}
	if len(d.Files) == 0 {
		fmt.Fprintf(w, "versions %d and %d of %s have the same files\n", d.From, d.To, shown(name))
	}
	return nil
}

func newToolGetCommand(s streams) *cobra.Command {
	var w whereFlags
	var dir string
	c := &cobra.Command{
		Use:   "get NAME[@VERSION]",
		Short: "Write the files of a tool on a server to a folder",
		Example: `  mayfly tool get backup
  mayfly tool get backup@3 --dir old-backup`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name, number, err := versioned(args[0])
			if err != nil {
				return &usageError{command: "mayfly tool get", err: err}
			}
			r, err := w.mustOpen("mayfly tool get")
			if err != nil {
				return err
			}
			defer r.Close()
			f, err := r.Files(c.Context(), r.Project, name, number)
			if err != nil {
				return err
			}
			to := cmp.Or(dir, name)
			if err := getFiles(c.Context(), r, f, to); err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.out, "%s version %d: %d files in %s; its definition is %s\n", shown(name), f.Version.Version, len(f.Files), to, shown(f.Definition))
			return err
		},
	}
	w.add(c.Flags())
	c.Flags().StringVarP(&dir, "dir", "d", "", "`DIR` to write to, which must be empty or missing; by default the tool's name")
	return c
}

// getFiles writes the files of a version to a folder, all or none. What the server says of them is believed only as far as they stay in
// the folder.
func getFiles(ctx context.Context, r *remote.Remote, f *api.VersionFiles, dir string) (err error) {
	_, missing := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	there, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return fmt.Errorf("the folder %s isn't empty; choose another one with --dir", dir)
	}
	if err := writeFiles(ctx, r, f, root); err != nil {
		return errors.Join(err, empty(root, dir, missing != nil))
	}
	return nil
}

// empty removes what is in a folder, so that a command that failed can be repeated, and with folder that one too.
func empty(root *os.Root, dir string, folder bool) error {
	all, err := fs.ReadDir(root.FS(), ".")
	for _, one := range all {
		err = errors.Join(err, root.RemoveAll(one.Name()))
	}
	if folder {
		err = errors.Join(err, os.Remove(dir))
	}
	return err
}

func writeFiles(ctx context.Context, r *remote.Remote, f *api.VersionFiles, root *os.Root) error {
	for _, one := range f.Files {
		if !fs.ValidPath(one.Path) {
			return fmt.Errorf("the server has a file %q, which is not a path in a folder", one.Path)
		}
		data, err := r.ReadVersionFile(ctx, f, one)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o666)
		if one.Executable {
			mode = 0o777
		}
		if err := root.MkdirAll(path.Dir(one.Path), 0o777); err != nil {
			return err
		}
		if err := root.WriteFile(one.Path, data, mode); err != nil {
			return err
		}
	}
	return nil
}
