package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/tool"
)

// The files of a first tool, with NAME and IMAGE to be replaced.
const (
	initTool = `name: NAME
description: Greets someone
image: IMAGE
script: {file: NAME.sh}
args:                       # each arrives as a variable: who as WHO
  - {name: who, description: Who to greet, default: world}
network: none               # or public, open, a list: [{host: api.example.com, ports: [443]}]
timeout: 1m
`
	initScript = `#!/bin/sh -eu
echo "Hello, $WHO!"
`
	initTests = `tool: ./tool.yaml
tests:
  - name: greets the world
    expect: {stdout: {contains: "Hello, world!"}}
  - name: greets by name
    inputs: {who: Ada}
    expect: {stdout: {contains: "Hello, Ada!"}}
`
)

func newInitCommand(s streams) *cobra.Command {
	var image string
	c := &cobra.Command{
		Use:   "init [NAME]",
		Short: "Write a first tool, with its script and its test",
		Long: `Write a first tool, with its script and its test, into tools/NAME; the default name is hello.
It never overwrites existing files.`,
		Example: `  mayfly init backup
  mayfly test tools/backup
  mayfly run backup --arg who=you`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := "hello"
			if len(args) == 1 {
				name = args[0]
			}
			if image == "" {
				var err error
				if image, err = imageToBegin(); err != nil {
					return err
				}
			}
			return initialize(s, name, image)
		},
	}
	c.Flags().StringVar(&image, "image", "", "`IMAGE` that the tool runs in; it needs a shell. By default busybox:latest, or one of Mayfly's own that is on this machine")
	return c
}

// imageToBegin returns an image with a shell: one that is on this machine, if there is one.
func imageToBegin() (string, error) {
	const pulled = "busybox:latest"
	images, err := openImages()
	if err != nil {
		return "", err
	}
	for _, ref := range []string{pulled, "mayfly/shell", "mayfly/busybox"} {
		if _, err := images.Lookup(ref); err == nil {
			return ref, nil
		}
	}
	return pulled, nil
}

func initialize(s streams, name, image string) error {
	fill := strings.NewReplacer("NAME", name, "IMAGE", image).Replace
	text := fill(initTool)
	if _, err := tool.Parse("tool.yaml", []byte(text)); err != nil { // only the name and the image can be wrong
		return &usageError{command: "mayfly init", err: err}
	}
	dir := filepath.Join("tools", name)
	if err := os.MkdirAll("tools", 0o777); err != nil {
		return err
	}
	switch _, err := os.Lstat(dir + ".yaml"); {
	case err == nil:
		return fmt.Errorf("there is a tool %s.yaml; choose another name: mayfly init NAME", dir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s already exists and is unchanged; choose another name: mayfly init NAME", dir)
	}
	if err != nil {
		return err
	}
	for _, f := range []struct{ name, text string }{{"tool.yaml", text}, {name + ".sh", initScript}, {name + "_test.yaml", initTests}} {
		file := filepath.Join(dir, f.name)
		if err := os.WriteFile(file, []byte(f.text), 0o666); err != nil {
			return err
		}
		fmt.Fprintln(s.out, file)
	}
	fmt.Fprintf(s.err, "mayfly: try it: mayfly run %s --arg who=you; test it: mayfly test %s\n", name, dir)
	return nil
}
