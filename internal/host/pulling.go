package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// pulling decides when images are pulled. It is a local.Images.
type pulling struct {
	*image.Store
	when string
	// configured says that the operator or the user has set where Docker's images come from.
	configured bool
	// notice, unless nil, is told what the store has instead of an image that is pulled.
	notice func(text string)
}

func (p pulling) Lookup(ref string) (*image.Image, error) {
	if p.when == "always" {
		return nil, image.ErrNotFound
	}
	return p.Store.Lookup(ref)
}

func (p pulling) Pull(ctx context.Context, ref string, opts image.PullOptions) (*image.Image, error) {
	if p.when == "never" {
		return nil, fmt.Errorf("image %s is not in the store and --pull=never; pull it with: mayfly image pull %s%s", ref, ref, p.suggestion(ref))
	}
	if err := p.ownImage(ref); err != nil {
		return nil, err
	}
	if p.notice != nil && p.when != "always" {
		if others := p.beside(ref); len(others) > 0 {
			p.notice(fmt.Sprintf("image %s is not in the store, which has %s; asking the registry", ref, strings.Join(others, ", ")))
		}
	}
	img, err := p.Store.Pull(ctx, ref, opts)
	if err == nil || ctx.Err() != nil || errors.Is(err, image.ErrNoSpace) {
		return img, err // another image wouldn't help
	}
	if _, missing := p.Store.Lookup(ref); missing == nil {
		return nil, fmt.Errorf("%w; leave out --pull=%s to use the one in the store", err, p.when)
	}
	return nil, fmt.Errorf("%w%s", err, p.suggestion(ref))
}

// suggestion is the end of an error, which names the image in the store that was probably meant, or "".
func (p pulling) suggestion(ref string) string {
	near := p.nearest(ref)
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s, which is in the store?", near)
}

// ownImage is the error for an image of this project that isn't in the store: its images are built, and aren't in a public
// registry, where anyone may have taken the name. A registry or mirror that is configured may have them.
func (p pulling) ownImage(ref string) error {
	name, own := strings.CutPrefix(strings.TrimPrefix(ref, "docker.io/"), "mayfly/")
	if !own || p.configured {
		return nil
	}
	if _, err := p.Store.Lookup(ref); err == nil {
		return fmt.Errorf("image %s is built on this machine and isn't in a registry; leave out --pull=%s", ref, p.when)
	}
	if meant := p.suggestion(ref); meant != "" {
		return fmt.Errorf("image %s is not in the store%s", ref, meant)
	}
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return fmt.Errorf("image %s is not in the store; build it with make images, and load it: mayfly image load .build/images/%s.tar", ref, name)
}

// nearest is the image in the store that was probably meant, or "".
func (p pulling) nearest(ref string) string {
	list, err := p.List()
	if err != nil {
		return "" // the image itself is what the error is about
	}
	named := map[string]string{}
	for _, img := range list {
		if name := familiar(img.Reference); name != familiar(ref) { // the same name is an image for another platform
			named[name] = img.Reference
		}
	}
	near := shape.Nearest(familiar(ref), slices.Sorted(maps.Keys(named)))
	return named[near]
}

// familiar is a name without what goes without saying: Docker's registry, and the tag latest.
func familiar(ref string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/"), ":latest")
}

// beside are a few images in the store that have another tag, or are for another platform.
func (p pulling) beside(ref string) []string {
	const few = 3
	list, err := p.List()
	if err != nil {
		return nil // the image itself is what the error is about
	}
	name, repository := familiar(ref), untagged(familiar(ref))
	var found []string
	for _, img := range list {
		switch other := familiar(img.Reference); {
		case untagged(other) != repository || len(found) == few:
		case other == name:
			found = append(found, other+" for "+img.Platform.String())
		default:
			found = append(found, other)
		}
	}
	return found
}

// untagged is a name without its tag and digest.
func untagged(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name
}
