package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// Where a test's tool finds the certificates that it trusts.
const (
	bundlePath    = "/run/mayfly/ca-bundle.pem" // the image's and the test's authority
	authorityPath = "/run/mayfly/ca.pem"        // the test's authority alone
	debianBundle  = "/etc/ssl/certs/ca-certificates.crt"
)

// imageBundles are where programs look for the system's certificates: Debian and Alpine, Red Hat, SUSE, BSD and
// Alpine, Red Hat again (crypto/x509's root_linux.go has the same list).
var imageBundles = []string{
	debianBundle, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
}

// maxBundle bounds what is copied of an image's bundle; real ones have a quarter of a megabyte.
const maxBundle = 16 << 20

// trustVariables are what programs with certificates of their own look at: OpenSSL's, Python's requests, curl, git and
// the AWS tools read a bundle, Node.js adds to its own.
//
// They replace what the tool sets: it names the certificates of the servers that it expects, and the mocks answer with
// others.
var trustVariables = []string{
	"SSL_CERT_FILE=" + bundlePath,
	"REQUESTS_CA_BUNDLE=" + bundlePath,
	"CURL_CA_BUNDLE=" + bundlePath,
	"GIT_SSL_CAINFO=" + bundlePath,
	"AWS_CA_BUNDLE=" + bundlePath,
	"NODE_EXTRA_CA_CERTS=" + authorityPath,
}

// trustMounts make the sandbox trust a test's authority beside those of its image.
func (r *rootfs) trustMounts(authority []byte) ([]specs.Mount, error) {
	if len(authority) == 0 {
		return nil, nil
	}
	var mounts []specs.Mount
	put := func(name string, content []byte, targets ...string) error {
		source, err := r.readOnlyFile("scratch", name, content, 0o444)
		if errors.Is(err, unix.ENOSPC) {
			err = fmt.Errorf("the certificates don't fit the disk limit; raise resources.disk: %w", err)
		}
		for _, target := range targets {
			mounts = append(mounts, bind(source, target, "ro", "noexec"))
		}
		return err
	}
	if err := put("authority", authority, authorityPath); err != nil {
		return nil, err
	}
	main := bundlePath // goes with the first bundle that is found
	seen := map[string]bool{}
	for i, at := range imageBundles {
		content, target, err := r.imageBundle(at)
		if err != nil {
			return nil, fmt.Errorf("read the image's certificates %s: %w", at, err)
		}
		if content == nil || seen[target] {
			continue
		}
		seen[target] = true
		targets := []string{target}
		if main != "" {
			targets, main = append(targets, main), ""
		}
		if err := put(fmt.Sprintf("bundle-%d", i), join(content, authority), targets...); err != nil {
			return nil, err
		}
	}
	if main == "" {
		return mounts, nil
	}
	targets := []string{main}
	switch mountable, err := r.isMountable(debianBundle); {
	case err != nil:
		return nil, err
	case mountable:
		targets = append(targets, debianBundle)
	}
	return mounts, put("bundle", authority, targets...)
}

// isMountable reports whether a file can be mounted at a path: not over a link of the image, nor where its links lead out of
// what is the image's.
func (r *rootfs) isMountable(path string) (bool, error) {
	host, err := r.inFolder(path)
	if errors.Is(err, unix.ELOOP) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	inside := r.checkPlace("certificates", "/"+strings.TrimPrefix(strings.TrimPrefix(host, r.root), "/")) == nil
	info, err := os.Lstat(host)
	if isAbsent(err) {
		return inside, nil
	}
	return inside && err == nil && info.Mode()&fs.ModeSymlink == 0, err
}

// imageBundle reads a bundle of the image and says where it is, its links resolved as the sandbox would. It is nil when
// there is none that the tool would see: what its own mounts cover is the tool's.
func (r *rootfs) imageBundle(at string) (content []byte, target string, err error) {
	host, err := r.inRoot(at)
	if errors.Is(err, unix.ELOOP) {
		return nil, "", nil // a dangling link; the tool can't read it either
	}
	if err != nil {
		return nil, "", err
	}
	target = path.Clean("/" + strings.TrimPrefix(host, r.root))
	if r.onToolMount(at) || r.onToolMount(target) || r.checkPlace("certificates", target) != nil {
		return nil, "", nil
	}
	f, err := os.OpenFile(host, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", nil // no such file, or none that anybody could read
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, "", err
	}
	if info.Size() > maxBundle {
		return nil, "", &engine.InvalidError{Field: "image", Why: fmt.Sprintf("its certificates %s have %d bytes; at most %d can be trusted in a test", at, info.Size(), maxBundle)}
	}
	content, err = io.ReadAll(io.LimitReader(f, maxBundle))
	if content == nil {
		content = []byte{}
	}
	return content, target, err
}

// join is two PEM files as one.
func join(a, b []byte) []byte { return bytes.Join([][]byte{bytes.TrimRight(a, "\n"), b}, []byte("\n")) }
