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

// The files with the certificates that a tool in a test trusts.
const (
	bundlePath    = "/run/mayfly/ca-bundle.pem" // the image's authorities and the test's
	authorityPath = "/run/mayfly/ca.pem"        // only the test's authority
	debianBundle  = "/etc/ssl/certs/ca-certificates.crt"
)

// imageBundles are the files with the system's certificates: of Debian and Alpine, Red Hat, SUSE, BSD and Alpine, and Red Hat
// again (crypto/x509's root_linux.go has the same list).
var imageBundles = []string{
	debianBundle, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
}

// maxBundle is the limit in bytes of a file of certificates. Real bundles have a quarter of a megabyte.
const maxBundle = 16 << 20

// trustVariables are the variables of programs that have their own certificates: programs with OpenSSL, Python's requests, curl,
// git and the AWS tools read a bundle; Node.js adds the file to its own.
//
// They replace the tool's values, which are for the servers that the tool expects. The mocks have other certificates.
var trustVariables = []string{
	"SSL_CERT_FILE=" + bundlePath,
	"REQUESTS_CA_BUNDLE=" + bundlePath,
	"CURL_CA_BUNDLE=" + bundlePath,
	"GIT_SSL_CAINFO=" + bundlePath,
	"AWS_CA_BUNDLE=" + bundlePath,
	"NODE_EXTRA_CA_CERTS=" + authorityPath,
}

// trustMounts returns the mounts that make the sandbox trust a test's authority, in addition to those of its image.
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
	own := bundlePath // has the content of the first bundle that is found; "" once it is mounted
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
		if own != "" {
			targets, own = append(targets, own), ""
		}
		if err := put(fmt.Sprintf("bundle-%d", i), join(content, authority), targets...); err != nil {
			return nil, err
		}
	}
	if own == "" {
		return mounts, nil
	}
	targets := []string{own}
	switch mountable, err := r.isMountable(debianBundle); {
	case err != nil:
		return nil, err
	case mountable:
		targets = append(targets, debianBundle)
	}
	return mounts, put("bundle", authority, targets...)
}

// isMountable reports whether a file can be mounted at a path: not over a link of the image, nor if the image's links lead to
// the kernel's file systems.
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

// imageBundle reads a bundle of the image. target is its path in the sandbox with links resolved. content is nil if the tool
// wouldn't see the bundle: it doesn't exist, or one of the tool's mounts covers it.
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
		return nil, "", nil // the file doesn't exist or can't be read
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

// join joins two PEM files.
func join(a, b []byte) []byte { return bytes.Join([][]byte{bytes.TrimRight(a, "\n"), b}, []byte("\n")) }
