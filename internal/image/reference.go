package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// reference is a parsed image name.
type reference struct {
	written string // as the user wrote it
	name    name.Reference
}

// parseReference parses an image name by Docker's rules. By default the registry is Docker Hub, the namespace there is library, and
// the tag is latest: alpine/curl is index.docker.io/alpine/curl:latest.
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

// hostLike reports whether a registry can be a host. The parser also accepts names with only dots, such as in ../name, and characters
// that hosts don't have; names may come from archives, and are printed. Names in other scripts must be in their xn-- form.
func hostLike(registry string) bool {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_:[]", r)
	}
	h := hostname(registry)
	return !strings.ContainsFunc(registry, odd) && h != "" && !strings.HasPrefix(h, ".") && !strings.HasPrefix(h, "-") && !strings.Contains(h, "..")
}

// pathLike reports whether a repository follows the grammar of registries (OCI distribution spec 1.1, "Pulling manifests"), which is
// stricter than the parser. tools/../other, for example, would match a pattern such as tools/*, but mean another repository.
func pathLike(repository string) bool {
	inner := func(c byte) bool { return strings.IndexByte("-_.", c) >= 0 }
	for part := range strings.SplitSeq(repository, "/") {
		if part == "" || inner(part[0]) || inner(part[len(part)-1]) {
			return false
		}
	}
	return true
}

// Spellings returns all ways to write ref, the full one first. The name of an image of Docker Hub may leave out the registry and
// "library", every name may leave out the tag latest, and a name with a digest may leave out the tag. The error is of kind
// ErrReference.
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
			// Without the registry, the next part may become the registry: docker.io/a.example/x is not a.example/x.
			same, err := parseReference(repository + tail)
			if err == nil && same.canonical() == r.canonical() && !slices.Contains(all, repository+tail) {
				all = append(all, repository+tail)
			}
		}
	}
	return all, nil
}

// Canonical returns the full name of ref: index.docker.io/library/alpine:latest for alpine. The error is of kind ErrReference.
func Canonical(ref string) (string, error) {
	r, err := parseReference(ref)
	if err != nil {
		return "", err
	}
	return r.canonical(), nil
}

// Repository returns the full name of ref's repository: index.docker.io/library/alpine for alpine:3. The error is of kind
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

// digest returns the hexadecimal SHA-256 of a reference with a digest, or "" for a tag.
func (r reference) digest() string {
	d, ok := r.name.(name.Digest)
	if !ok {
		return ""
	}
	return strings.TrimPrefix(d.DigestStr(), "sha256:")
}

// key returns the name of the reference's record for a platform in refs/. It is a hash, since a reference has slashes and colons, and
// may be longer than a file name.
func (r reference) key(p Platform) string {
	sum := sha256.Sum256([]byte(r.canonical() + "\x00" + p.String()))
	return hex.EncodeToString(sum[:])
}
