package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/show"
)

func newImageCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "Manage the images of this machine",
		Example: `  mayfly image pull alpine/curl:latest
  mayfly image ls
  mayfly image prune --all`,
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return enterNamespace("") },
	}
	c.AddCommand(newImagePull(s), newImageList(s), newImageLoad(s), newImageSave(s), newImageRemove(s), newImagePrune(s), newImageInspect(s))
	return c
}

func newImageList(s streams) *cobra.Command {
	var asJSON, quiet bool
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the images",
		Example: "  mayfly image ls\n  mayfly image ls --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			images, err := openImages()
			if err != nil {
				return err
			}
			list, err := images.List()
			if err != nil {
				return err
			}
			if asJSON {
				return printList(s.out, list)
			}
			w := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
			if !quiet {
				fmt.Fprintln(w, "IMAGE\tDIGEST\tPLATFORM\tPULLED\tSIZE")
			}
			for _, img := range list {
				_, digest, _ := strings.Cut(img.Digest, "@")
				if quiet {
					fmt.Fprintln(w, img.Reference)
					continue
				}
				fmt.Fprintf(w, "%s\t%.19s\t%s\t%s\t%s\n", img.Reference, digest, img.Platform, ago(img.Pulled), show.Size(img.Size))
			}
			return w.Flush()
		},
	}
	jsonFlag(c.Flags(), &asJSON, "print JSON")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print only the names")
	return c
}

func newImageLoad(s streams) *cobra.Command {
	var input string
	c := &cobra.Command{
		Use:   "load [FILE|-]",
		Short: "Load images from a tar file",
		Long: `Load images from a tar file, plain or compressed: what docker save writes, or an OCI image layout.
Without FILE, or with -, it reads standard input.`,
		Example: `  mayfly image load tools.tar
  docker save myorg/tool:1 | mayfly image load`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if input != "" && len(args) == 1 {
				return &usageError{command: "mayfly image load", err: errors.New("--input and FILE name the file twice; give one of them")}
			}
			images, err := openImages()
			if err != nil {
				return err
			}
			in := s.in
			if len(args) == 1 {
				input = args[0]
			}
			if input != "" && input != "-" {
				f, err := os.Open(input)
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			} else if show.IsTerminal(s.in) {
				return &usageError{command: "mayfly image load", err: errors.New("standard input is a terminal; name a file")}
			}
			loaded, err := images.Load(cmd.Context(), in)
			if err != nil {
				return err
			}
			for _, img := range loaded {
				fmt.Fprintln(s.out, img.Reference)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&input, "input", "i", "", "the `FILE`, as in docker load")
	return c
}

func newImageSave(s streams) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "save IMAGE…",
		Short: "Write images to a tar file",
		Long: `Write images to a tar file, with the digests that they were pulled with: an OCI image layout that
docker load takes too.`,
		Example: "  mayfly image save -o tools.tar myorg/tool:1 myorg/tool:2",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, refs []string) error {
			images, err := openImages()
			if err != nil {
				return err
			}
			if output != "" && output != "-" {
				return writeFile(output, func(out io.Writer) error { return images.Save(cmd.Context(), refs, out) })
			}
			if show.IsTerminal(s.out) {
				return &usageError{command: "mayfly image save", err: errors.New("standard output is a terminal; use -o FILE")}
			}
			return images.Save(cmd.Context(), refs, s.out)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write; standard output by default")
	return c
}

func newImageRemove(s streams) *cobra.Command {
	return &cobra.Command{
		Use:     "rm IMAGE…",
		Aliases: []string{"remove"},
		Short:   "Forget images; prune frees their space",
		Example: "  mayfly image rm alpine/curl:latest && mayfly image prune",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, ids []string) error {
			images, err := openImages()
			if err != nil {
				return err
			}
			for _, id := range ids {
				removed, err := images.Remove(id)
				if err != nil {
					return err
				}
				for _, ref := range removed {
					fmt.Fprintln(s.out, ref)
				}
			}
			return nil
		},
	}
}

func newImagePrune(s streams) *cobra.Command {
	var opts image.PruneOptions
	c := &cobra.Command{
		Use:   "prune",
		Short: "Free the space of images that nothing refers to",
		Long: `Free the space of images that nothing refers to, and with --all of every image that no run uses.
It never removes what a run uses.`,
		Example: "  mayfly image prune\n  mayfly image prune --all --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			images, err := openImages()
			if err != nil {
				return err
			}
			done, err := images.Prune(cmd.Context(), opts)
			if err != nil {
				return err
			}
			for _, ref := range done.References {
				fmt.Fprintln(s.out, ref)
			}
			verb := "freed"
			if opts.DryRun {
				verb = "would free"
			}
			_, err = fmt.Fprintf(s.out, "%s %s: %d images, %d layers\n", verb, show.Size(done.Bytes), done.Images, done.Layers)
			return err
		},
	}
	c.Flags().BoolVarP(&opts.All, "all", "a", false, "remove images that have a name too")
	c.Flags().BoolVar(&opts.DryRun, "dry-run", false, "only say what would be freed")
	return c
}

func newImageInspect(s streams) *cobra.Command {
	return &cobra.Command{
		Use:     "inspect IMAGE…",
		Short:   "Print everything about images as JSON",
		Example: "  mayfly image inspect python:3.12-slim | jq .config.entrypoint",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, ids []string) error {
			images, err := openImages()
			if err != nil {
				return err
			}
			for _, id := range ids {
				details, err := images.Inspect(id)
				if err != nil {
					return err
				}
				if err := printJSON(s.out, details); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
