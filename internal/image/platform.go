package image

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Platform is the platform of an image, as in an OCI index: "linux/amd64", "linux/arm/v7".
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// HostPlatform returns the platform of sandboxes on this machine, which is always Linux.
func HostPlatform() Platform {
	return Platform{OS: "linux", Architecture: runtime.GOARCH}
}

// ParsePlatform parses os/arch[/variant], or an architecture alone, which means Linux.
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if slices.Contains(parts, "") || len(parts) > 3 {
		return Platform{}, fmt.Errorf("platform %q: write os/architecture or os/architecture/variant, such as linux/arm64", s)
	}
	switch len(parts) {
	case 1:
		return Platform{OS: "linux", Architecture: parts[0]}, nil
	case 2:
		return Platform{OS: parts[0], Architecture: parts[1]}, nil
	default:
		return Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}, nil
	}
}

func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// plain reports whether a platform has only characters that platforms have. Only such an untrusted platform may be printed.
func (p Platform) plain() bool {
	return !strings.ContainsFunc(p.OS+p.Architecture+p.Variant, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
}

// rank says how well an image for the platform have runs on p: 0 means not at all, and a larger number is better.
//
// If p has no variant, the best one is the plain variant, which is v8 for arm64 and v1 for amd64 (image-spec, image-index.md,
// "platform variants"), and the highest variant for arm. An arm machine with a variant also runs lower ones.
func (p Platform) rank(have Platform) int {
	if p.OS != have.OS || p.Architecture != have.Architecture {
		return 0
	}
	want, got := p.plainVariant(), have.plainVariant()
	switch {
	case want == got:
		return 10
	case p.Variant == "" && p.Architecture == "arm":
		return 1 + strings.Index("5678", strings.TrimPrefix(got, "v"))
	case p.Architecture == "arm" && got != "" && got < want:
		return 1 + strings.Index("5678", strings.TrimPrefix(got, "v"))
	default:
		return 0
	}
}

func (p Platform) plainVariant() string {
	if (p.Architecture == "arm64" && p.Variant == "v8") || (p.Architecture == "amd64" && p.Variant == "v1") {
		return ""
	}
	return p.Variant
}

// choose returns the best entry of an index for the platform. The error names the platforms of the index.
func (p Platform) choose(index []v1.Descriptor) (v1.Descriptor, error) {
	var (
		best  v1.Descriptor
		top   int
		names []string
	)
	for _, d := range index {
		if d.Platform == nil || !(d.MediaType.IsImage() || d.MediaType == "") {
			continue
		}
		have := Platform{OS: d.Platform.OS, Architecture: d.Platform.Architecture, Variant: d.Platform.Variant}
		if have.OS != "unknown" && have.plain() && !slices.Contains(names, have.String()) { // attestations are for unknown/unknown
			names = append(names, have.String())
		}
		if r := p.rank(have); r > top {
			best, top = d, r
		}
	}
	if top == 0 && len(index) == 1 && index[0].Platform == nil {
		return index[0], nil // an index with one image may lack the platform; the config is checked later
	}
	if top == 0 {
		return v1.Descriptor{}, &Error{
			Kind: ErrPlatform,
			Msg:  fmt.Sprintf("no image for %s; it has %s", p, cmp.Or(strings.Join(names, ", "), "none for a known platform")),
			Hint: "fetch one of these with: mayfly image pull --platform OS/ARCH",
		}
	}
	return best, nil
}
