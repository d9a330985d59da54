package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/show"
)

func newImagePull(s streams) *cobra.Command {
	var platform string
	var quiet bool
	c := &cobra.Command{
		Use:   "pull IMAGE…",
		Short: "Fetch images from their registries",
		Long: `Fetch images from their registries, or from the mirrors that registries.json in MAYFLY_HOME names.
Credentials are those of docker login (~/.docker/config.json and its credential helpers).`,
		Example: `  mayfly image pull python:3.12-slim
  mayfly image pull registry.example.com/tools/kubectl@sha256:…
  mayfly image pull --platform linux/arm64 alpine`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, refs []string) error {
			images, err := openImages()
			if err != nil {
				return err
			}
			opts := image.PullOptions{}
			if platform != "" {
				if opts.Platform, err = image.ParsePlatform(platform); err != nil {
					return &usageError{command: "mayfly image pull", err: err}
				}
			}
			for _, ref := range refs {
				img, err := pullShown(cmd.Context(), s, images, ref, opts, quiet)
				if err != nil {
					return err
				}
				fmt.Fprintln(s.out, img.Digest)
			}
			return nil
		},
	}
	c.Flags().StringVar(&platform, "platform", "", "`OS/ARCH` to choose from a multi-platform image")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	return c
}

// pullShown pulls with the progress on the terminal, if there is one.
func pullShown(ctx context.Context, s streams, images *image.Store, ref string, opts image.PullOptions, quiet bool) (*image.Image, error) {
	if !quiet {
		spin := spinner(s.err)
		defer spin.Stop()
		opts.Progress = func(e image.ProgressEvent) { spin.Show(progressText(e)) }
	}
	return images.Pull(ctx, ref, opts)
}

// spinner shows progress on a terminal. Otherwise it is nil, which shows nothing.
func spinner(w io.Writer) *show.Spinner {
	if !show.IsTerminal(w) {
		return nil
	}
	return show.NewSpinner(w)
}

// progressText is a pull's progress on one line.
func progressText(e image.ProgressEvent) string {
	text := fmt.Sprintf("pulling %s", e.Reference)
	switch e.Phase {
	case image.Downloading:
		text += fmt.Sprintf("  layer %d/%d  %s of %s", e.Layer, e.Layers, show.Size(e.Current), show.Size(e.Total))
	case image.Waiting:
		if e.Layer == 0 {
			return text + "  another process is removing images"
		}
		text += fmt.Sprintf("  layer %d/%d  another process is fetching it", e.Layer, e.Layers)
	}
	return text
}
