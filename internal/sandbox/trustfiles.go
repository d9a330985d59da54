package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/trust"
)

// Clients that bring certificates of their own don't look at the system's: libraries that carry a bundle (certifi, gRPC),
// Java with its keystore, a kubeconfig that names its cluster's authority, curl --cacert. So in a test its authority is
// added to what the image carries, to what the tool mounts, and to its variables (package trust).

// trusting adds a test's authority to certificates; a nil one leaves them.
type trusting struct {
	*trust.Authority
	imageBytes int64 // that were read of the image's files
	// changed are the tool's own files and variables to which it was added.
	changed []string
}

func newTrusting(m *engine.Mocks) *trusting {
	if m == nil {
		return nil
	}
	if a := trust.New(m.Authority); a != nil {
		return &trusting{Authority: a}
	}
	return nil
}

// content is what a file or variable of the tool has in the sandbox.
func (t *trusting) content(of string, content []byte) []byte {
	if t == nil || len(content) > maxBundle {
		return content
	}
	out, changed := t.Add(content)
	if changed {
		t.name(of)
	}
	return out
}

// maxNamed is how many of the tool's own files and variables are named.
const maxNamed = 20

func (t *trusting) name(of string) {
	switch {
	case len(t.changed) < maxNamed:
		t.changed = append(t.changed, of)
	case len(t.changed) == maxNamed:
		t.changed = append(t.changed, "others")
	}
}

// environment adds the authority to the values of variables.
func (t *trusting) environment(env []string) []string {
	if t == nil {
		return env
	}
	for i, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		env[i] = name + "=" + string(t.content("variable "+name, []byte(value)))
	}
	return env
}

// tree changes what is mounted for the tool at a path: a file, or those of a folder. No link is followed.
func (t *trusting) tree(host, at string) error {
	if t == nil {
		return nil
	}
	return filepath.WalkDir(host, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		changed, err := t.file(file)
		if changed {
			t.name(at + strings.TrimPrefix(file, host))
		}
		return err
	})
}

// file changes a file in place, and leaves its owner and mode.
func (t *trusting) file(host string) (changed bool, err error) {
	f, err := os.OpenFile(host, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxBundle {
		return false, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxBundle))
	if err != nil {
		return false, err
	}
	out, changed := t.Add(content)
	if !changed {
		return false, nil
	}
	err = overwrite(host, out)
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("the certificates don't fit the disk limit; raise resources.disk: %w", err)
	}
	return true, err
}

// maxImageBytes bounds what is read of the image's files that may be of certificates. Those of real images have a few
// megabytes; hard links of one file have as much as that file, each.
const maxImageBytes = 64 << 20

// imageFile is file for one of the image, at a path and of a size.
func (t *trusting) imageFile(host, at string, size int64) error {
	if size > maxBundle {
		return nil
	}
	if t.imageBytes += size; t.imageBytes > maxImageBytes {
		return &engine.InvalidError{Field: "image", Why: fmt.Sprintf(
			"its files that may be of certificates (.pem, .crt, .cer, keystores) have more than %d MiB up to %s, and in a test the mocks' authority is added to each; remove those that the tool doesn't need from the image, or mount a volume over their folder", maxImageBytes>>20, at)}
	}
	if _, err := t.file(host); err != nil {
		return fmt.Errorf("add the test's authority to %s of the image: %w", at, err)
	}
	return nil
}

// overwrite writes a file anew. To open one of the image's layers copies it.
func overwrite(host string, content []byte) error {
	f, err := os.OpenFile(host, os.O_WRONLY|os.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// systemCertificates are where a system keeps the certificates that its bundles are made from, one a file: what reads the
// system's certificates reads the bundles, or a folder of hashes.
var systemCertificates = []string{"/etc/ssl/certs", "/etc/pki/ca-trust", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/pki"}

// hashFolder is where OpenSSL looks for a certificate by its name's hash when nobody names a bundle; /usr/lib/ssl/certs
// and the like lead there.
const hashFolder = "/etc/ssl/certs"

// trustImage adds a test's authority to the certificates that the image carries beside the system's bundles, which have
// mounts of their own (trustMounts).
func (r *rootfs) trustImage() error {
	if r.trusting == nil {
		return nil
	}
	found, err := r.imageFiles(namesCertificates)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, isSystems) // hundreds of them; comparing paths is faster than resolving each
	seen := map[string]bool{}
	for _, at := range found {
		host, err := r.inRoot(at)
		if errors.Is(err, unix.ELOOP) {
			continue // a dangling link; the tool can't read it either
		}
		if err != nil {
			return err
		}
		target := "/" + strings.TrimPrefix(strings.TrimPrefix(host, r.root), "/")
		if seen[target] || isSystems(target) || slices.Contains(imageBundles, target) {
			continue
		}
		seen[target] = true
		switch info, err := os.Lstat(host); {
		case errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(at, "/lib/security/cacerts"):
			err = r.writeFile(target, r.trusting.Keystore()) // Java's, whose package's script was not run
			if err != nil {
				return err
			}
		case err == nil && info.Mode().IsRegular():
			if err := r.trusting.imageFile(host, at, info.Size()); err != nil {
				return err
			}
		case err != nil && !isAbsent(err):
			return fmt.Errorf("add the test's authority to %s of the image: %w", at, err)
		}
	}
	return r.trustHash()
}

// isSystems says whether a file is one of the system's single certificates.
func isSystems(at string) bool {
	return !isKeystore(path.Base(at)) && slices.ContainsFunc(systemCertificates, func(dir string) bool { return strings.HasPrefix(at, dir+"/") })
}

// trustHash puts the authority where OpenSSL looks for it by itself.
func (r *rootfs) trustHash() error {
	name := r.trusting.HashName()
	host, err := r.inRoot(hashFolder)
	if errors.Is(err, unix.ELOOP) {
		return nil // an image without OpenSSL
	}
	if err != nil || name == "" || r.onToolMount(hashFolder) || r.checkPlace("certificates", hashFolder) != nil {
		return err
	}
	switch info, err := os.Lstat(host); {
	case err == nil && info.IsDir():
		return r.writeFile(path.Join(hashFolder, name), r.trusting.PEM())
	case err == nil || isAbsent(err): // an image without OpenSSL
		return nil
	default:
		return fmt.Errorf("add the test's authority to %s of the image: %w", hashFolder, err)
	}
}

// isAbsent reports whether there is nothing at a path, whose parent may be a file.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

// namesCertificates says whether a file of the image may be one of certificates, by its name.
func namesCertificates(name string) bool {
	lower := strings.ToLower(name)
	return slices.Contains([]string{".pem", ".crt", ".cer"}, path.Ext(lower)) || isKeystore(lower) || strings.HasPrefix(lower, "cacert")
}

// isKeystore says whether a file may be a keystore of Java's, by its name.
func isKeystore(name string) bool {
	return name == "cacerts" || name == "jssecacerts" || slices.Contains([]string{".jks", ".p12", ".pfx", ".keystore", ".truststore"}, path.Ext(strings.ToLower(name)))
}
