package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// reference is a parsed image name: as the user wrote it, and in full.
type reference struct {
	written string
	name    name.Reference
}

// parseReference follows Docker's rules: no registry means Docker Hub, no namespace there means library, no tag means
// latest; alpine/curl is index.docker.io/alpine/curl:latest.
func parseReference(ref string) (reference, error) {
	n, err := name.ParseReference(ref, name.WeakValidation)
	if err == nil && !hostLike(n.Context().RegistryStr()) {
		err = fmt.Errorf("%q is not a host name", n.Context().RegistryStr())
	}
	if err == nil && !pathLike(n.Context().RepositoryStr()) {
		err = fmt.Errorf("%q is not the name of a repository: each part between slashes starts and ends with a letter or digit", n.Context().RepositoryStr())
	}
	if err != nil {
		return reference{}, &Error{
			Kind: ErrReference, Msg: fmt.Sprintf("image name %q", ref), Err: err,
			Hint: "write [registry/]name[:tag] or [registry/]name@sha256:…",
		}
	}
	return reference{written: ref, name: n}, nil
}

// hostLike refuses what the parser takes for a registry because of its dots alone, as in ../name, and characters that no
// host has: archives bring names too, and names are printed. A name in another script is written as in DNS (xn--…).
func hostLike(registry string) bool {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_:[]", r)
	}
	h := hostname(registry)
	return !strings.ContainsFunc(registry, odd) && h != "" && !strings.HasPrefix(h, ".") && !strings.HasPrefix(h, "-") && !strings.Contains(h, "..")
}

// pathLike refuses repositories that the parser takes and the grammar of registries doesn't have (OCI distribution spec
// 1.1, "Pulling manifests"): tools/../other is a path below tools only for who compares text.
func pathLike(repository string) bool {
	inner := func(c byte) bool { return strings.IndexByte("-_.", c) >= 0 }
	for part := range strings.SplitSeq(repository, "/") {
		if part == "" || inner(part[0]) || inner(part[len(part)-1]) {
			return false
		}
	}
	return true
}

// Spellings are all ways to write ref, in full first: an image of Docker Hub may leave out the registry and "library",
// any image the tag latest, and one with a digest the tag. The error is of kind ErrReference.
func Spellings(ref string) ([]string, error) {
	r, err := parseReference(ref)
	if err != nil {
		return nil, err
	}
	repository := r.repository()
	tails := []string{strings.TrimPrefix(r.canonical(), repository)}
	base := ref[strings.LastIndexByte(ref, '/')+1:]
	if i := strings.IndexByte(base, ':'); i >= 0 && r.digest() != "" {
		tails = append(tails, base[i:])
	}
	if tails[0] == ":"+name.DefaultTag {
		tails = append(tails, "")
	}
	repositories := []string{repository}
	if onHub, ok := strings.CutPrefix(repository, name.DefaultRegistry+"/"); ok {
		for _, registry := range []string{name.DefaultRegistry + "/", "docker.io/", ""} {
			repositories = append(repositories, registry+onHub, registry+strings.TrimPrefix(onHub, "library/"))
		}
	}
	var all []string
	for _, repository := range repositories {
		for _, tail := range tails {
			// Left out, a registry may make another of what follows it: docker.io/a.example/x is not a.example/x.
			same, err := parseReference(repository + tail)
			if err == nil && same.canonical() == r.canonical() && !slices.Contains(all, repository+tail) {
				all = append(all, repository+tail)
			}
		}
	}
	return all, nil
}

// Canonical is ref in full: index.docker.io/library/alpine:latest for alpine. Its error is of kind ErrReference.
func Canonical(ref string) (string, error) {
	r, err := parseReference(ref)
	if err != nil {
		return "", err
	}
	return r.canonical(), nil
}

// Repository is the repository of ref in full: index.docker.io/library/alpine for alpine:3. Its error is of kind
// ErrReference.
func Repository(ref string) (string, error) {
	r, err := parseReference(ref)
	if err != nil {
		return "", err
	}
	return r.repository(), nil
}

func (r reference) canonical() string { return r.name.Name() }

func (r reference) repository() string { return r.name.Context().Name() }

// digest is the hex of the SHA-256 that the reference pins, or nothing for a tag.
func (r reference) digest() string {
	d, ok := r.name.(name.Digest)
	if !ok {
		return ""
	}
	return strings.TrimPrefix(d.DigestStr(), "sha256:")
}

// key names the record of the reference for a platform in refs/. A hash, because references hold slashes and colons
// and may be longer than a file name.
func (r reference) key(p Platform) string {
	sum := sha256.Sum256([]byte(r.canonical() + "\x00" + p.String()))
	return hex.EncodeToString(sum[:])
}
