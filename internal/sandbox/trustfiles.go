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

// Clients that bring their own certificates don't use the system's: libraries with a bundle (certifi, gRPC), Java with its
// keystore, a kubeconfig that contains its cluster's authority, curl --cacert. So in a test the test's authority is added to
// the image's files of certificates, to the files that the tool mounts, and to its variables (package trust).

// trusting adds a test's authority to certificates. A nil *trusting doesn't change them.
type trusting struct {
	*trust.Authority
	imageBytes int64 // bytes that were read of the image's files
	// changed lists the tool's own files and variables that the authority was added to.
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

// content returns the content in the sandbox of one of the tool's files or variables. of is its name.
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

// maxNamed is the number of the tool's own files and variables that are named.
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

// tree changes a mounted file, or all files of a mounted folder. host is its path on the host, and at in the sandbox. It
// follows no link.
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

// file changes a file in place, and keeps its owner and mode.
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

// maxImageBytes is the limit in bytes of what is read of the image's files that may contain certificates. In real images they
// have a few megabytes. Each hard link of a file counts.
const maxImageBytes = 64 << 20

// imageFile changes a file of the image. host is its path on the host, at its path in the sandbox, and size its size.
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

// overwrite replaces the content of a file. Opening a file of the image's layers copies it to the upper layer.
func overwrite(host string, content []byte) error {
	f, err := os.OpenFile(host, os.O_WRONLY|os.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// systemCertificates are the folders with the single certificates that the system's bundles are made from, one per file.
// Programs read the bundles instead, or a folder of hashes.
var systemCertificates = []string{"/etc/ssl/certs", "/etc/pki/ca-trust", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/pki"}

// hashFolder is the folder where OpenSSL looks for a certificate by the hash of its name if it isn't given a bundle;
// /usr/lib/ssl/certs and similar paths are links to it.
const hashFolder = "/etc/ssl/certs"

// trustImage adds a test's authority to the image's certificates other than the system's bundles, which have their own mounts
// (trustMounts).
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
			err = r.writeFile(target, r.trusting.Keystore()) // Java's package links to a keystore that its script didn't make
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

// isSystems reports whether a file is one of the system's single certificates.
func isSystems(at string) bool {
	return !isKeystore(path.Base(at)) && slices.ContainsFunc(systemCertificates, func(dir string) bool { return strings.HasPrefix(at, dir+"/") })
}

// trustHash writes the authority to the folder where OpenSSL looks by default.
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

// isAbsent reports whether an error says that a path doesn't exist, also because its parent is a file.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

// namesCertificates reports whether a file of the image may contain certificates, by its name.
func namesCertificates(name string) bool {
	lower := strings.ToLower(name)
	return slices.Contains([]string{".pem", ".crt", ".cer"}, path.Ext(lower)) || isKeystore(lower) || strings.HasPrefix(lower, "cacert")
}

// isKeystore reports whether a file may be a Java keystore, by its name.
func isKeystore(name string) bool {
	return name == "cacerts" || name == "jssecacerts" || slices.Contains([]string{".jks", ".p12", ".pfx", ".keystore", ".truststore"}, path.Ext(strings.ToLower(name)))
}
