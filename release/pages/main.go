// Command pages writes the man pages and the shell completions of Mayfly's commands. It is a separate program, so that mayfly
// doesn't contain the code for them.
//
//	go run ./release/pages -version v1.2.0 FOLDER
//
// FOLDER gets man1/mayfly.1, man1/mayfly-run.1 and so on, and bash/mayfly, zsh/_mayfly and fish/mayfly.fish. The date of the
// pages is the time in SOURCE_DATE_EPOCH (reproducible-builds.org/specs/source-date-epoch).
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/mayfly-run/mayfly/internal/cli"
	"github.com/mayfly-run/mayfly/internal/daemon"
)

func main() {
	version := flag.String("version", "dev", "the version in the pages")
	flag.Parse()
	if err := write(flag.Arg(0), *version); err != nil {
		fmt.Fprintln(os.Stderr, "pages:", err)
		os.Exit(1)
	}
}

func write(dir, version string) error {
	if dir == "" {
		return errors.New("name the folder to write to: go run ./release/pages FOLDER")
	}
	for _, name := range []string{"man1", "bash", "zsh", "fish"} {
		// Pages of an earlier version must not stay.
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	mayfly := cli.Command()
	for _, root := range []*cobra.Command{mayfly, daemon.Command()} {
		root.DisableAutoGenTag = true
		header := &doc.GenManHeader{Section: "1", Source: "Mayfly " + version, Manual: "Mayfly"}
		if err := doc.GenManTree(root, header, filepath.Join(dir, "man1")); err != nil {
			return err
		}
	}
	if err := mayfly.GenBashCompletionFileV2(filepath.Join(dir, "bash", "mayfly"), true); err != nil {
		return err
	}
	if err := mayfly.GenZshCompletionFile(filepath.Join(dir, "zsh", "_mayfly")); err != nil {
		return err
	}
	return mayfly.GenFishCompletionFile(filepath.Join(dir, "fish", "mayfly.fish"), true)
}
