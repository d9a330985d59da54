package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// plan is an image before it is installed: its unchanged documents, and its layers.
type plan struct {
	manifest, config []byte
	manifestID       v1.Hash
	configID         v1.Hash
	file             *v1.ConfigFile
	run              RunConfig
	layers           []layerPlan
}

type layerPlan struct {
	diffID v1.Hash
	digest v1.Hash
	size   int64 // of the blob
}

func sha256Of(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// manifestOrIndex is what a reference may lead to: an index of manifests for platforms, or a manifest. They are told apart by
// what they hold, and one that holds both is refused: two readers could see two images in it (CVE-2021-41190).
type manifestOrIndex struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     types.MediaType `json:"mediaType"`
	Config        *v1.Descriptor  `json:"config"`
	Layers        []v1.Descriptor `json:"layers"`
	Manifests     []v1.Descriptor `json:"manifests"`
	FSLayers      json.RawMessage `json:"fsLayers"`
}

func parseDocument(raw []byte) (*manifestOrIndex, error) {
	var d manifestOrIndex
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, malformed("manifest", err)
	}
	switch {
	case d.Manifests != nil && (d.Layers != nil || d.Config != nil):
		return nil, hostile("a manifest that is also an index")
	case d.FSLayers != nil || d.SchemaVersion == 1:
		return nil, &Error{Kind: ErrMalformed, Msg: "the image has Docker's manifest format of 2014 (schema 1), which is not supported", Hint: "push it again with a current tool"}
	case d.SchemaVersion != 2:
		return nil, &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("manifest with schema version %d; only version 2 is supported", d.SchemaVersion)}
	case d.Manifests == nil && d.Config == nil:
		return nil, &Error{Kind: ErrMalformed, Msg: "it is neither an image manifest nor an index"}
	}
	return &d, nil
}

func (d *manifestOrIndex) isIndex() bool { return d.Manifests != nil }

// newPlan checks a manifest and its config, and returns their plan. The caller has verified the digests of both.
func newPlan(manifest, config []byte, lim Limits) (*plan, error) {
	d, err := parseDocument(manifest)
	if err != nil {
		return nil, err
	}
	if err := d.checkImage(lim); err != nil {
		return nil, err
	}
	file, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return nil, malformed("image config", err)
	}
	if n := len(file.RootFS.DiffIDs); n != len(d.Layers) {
		return nil, &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("the manifest has %d layers, but its config has %d", len(d.Layers), n)}
	}
	run, err := readRunConfig(&file.Config)
	if err != nil {
		return nil, err
	}
	p := &plan{
		manifest: manifest, manifestID: sha256Of(manifest), config: config, configID: sha256Of(config), file: file, run: run,
	}
	if have := p.platform(); !have.plain() {
		return nil, hostile("platform %.80q has invalid characters", have)
	}
	for i, l := range d.Layers {
		diff := file.RootFS.DiffIDs[i]
		if err := checkSHA256(diff); err != nil {
			return nil, err
		}
		p.layers = append(p.layers, layerPlan{diffID: diff, digest: l.Digest, size: l.Size})
	}
	return p, nil
}

// checkImage checks a manifest before its config and layers are fetched.
func (d *manifestOrIndex) checkImage(lim Limits) error {
	if d.Config == nil {
		return &Error{Kind: ErrMalformed, Msg: "it is an index, not an image manifest"}
	}
	if !d.Config.MediaType.IsConfig() && d.Config.MediaType != "" {
		return &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("not a container image: its config is %.80q", d.Config.MediaType)}
	}
	if len(d.Layers) > lim.Layers {
		return &Error{Kind: ErrBudget, Msg: fmt.Sprintf("image has %d layers; the limit is %d", len(d.Layers), lim.Layers)}
	}
	if err := checkSHA256(d.Config.Digest); err != nil {
		return err
	}
	if d.Config.Size < 0 || d.Config.Size > lim.ManifestBytes {
		return &Error{Kind: ErrBudget, Msg: fmt.Sprintf("image config has %d bytes; the limit is %d", d.Config.Size, lim.ManifestBytes)}
	}
	var total int64
	for _, l := range d.Layers {
		if err := checkSHA256(l.Digest); err != nil {
			return err
		}
		if !l.MediaType.IsLayer() && l.MediaType != dockerZstd {
			return &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("layer of unknown type %.80q", l.MediaType)}
		}
		// A blob is hardly larger than its content, so a layer whose blob exceeds the budget exceeds it too.
		if l.Size < 0 || l.Size > lim.streamBytes() || l.Size > lim.ImageBytes-total {
			return &Error{Kind: ErrBudget, Msg: fmt.Sprintf("layer %s with %d compressed bytes is over the budget of a layer or an image", l.Digest, l.Size)}
		}
		total += l.Size
	}
	return nil
}

// dockerZstd is the media type that some builders use in Docker manifests for layers that are compressed with zstd.
const dockerZstd = types.MediaType("application/vnd.docker.image.rootfs.diff.tar.zstd")

// readRunConfig checks the run configuration of an image, which is untrusted, and returns an error for values that no legitimate build
// writes. It accepts what other engines accept: it makes a relative or unclean working directory absolute below the root, and
// drops environment entries without a name or value.
func readRunConfig(c *v1.Config) (RunConfig, error) {
	wd := c.WorkingDir
	if len(wd) >= maxPathBytes {
		return RunConfig{}, hostile("working directory %.80q is too long for a path", c.WorkingDir)
	}
	if wd != "" {
		wd = path.Join("/", wd)
	}
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if wd == dir || strings.HasPrefix(wd, dir+"/") {
			return RunConfig{}, hostile("working directory %.80q is in %s", c.WorkingDir, dir)
		}
	}
	if len(c.User) > maxNameBytes || strings.ContainsFunc(c.User, unicode.IsControl) {
		return RunConfig{}, hostile("user %.80q is not a user name", c.User)
	}
	for _, list := range [][]string{c.Entrypoint, c.Cmd, c.Env, {wd, c.StopSignal}} {
		for _, s := range list {
			if strings.ContainsRune(s, 0) {
				return RunConfig{}, hostile("image config contains a zero byte in %.80q", s)
			}
		}
	}
	env := slices.DeleteFunc(slices.Clone(c.Env), func(e string) bool {
		name, _, found := strings.Cut(e, "=")
		return !found || name == ""
	})
	return RunConfig{
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: env, WorkingDir: wd, User: c.User, Labels: c.Labels,
		Volumes: c.Volumes, ExposedPorts: c.ExposedPorts, StopSignal: c.StopSignal,
	}, nil
}

// platform returns the platform in the config. It may be empty; such an image runs on every platform.
func (p *plan) platform() Platform {
	return Platform{OS: p.file.OS, Architecture: p.file.Architecture, Variant: p.file.Variant}
}

func (p *plan) checkPlatform(want Platform) error {
	have := p.platform()
	if have.OS == "" || have.Architecture == "" {
		return nil
	}
	if want.rank(have) == 0 {
		return &Error{
			Kind: ErrPlatform, Msg: fmt.Sprintf("no image for %s; it has only %s", want, have),
			Hint: "fetch this one with: mayfly image pull --platform " + have.String(),
		}
	}
	return nil
}
