package engine

import (
	"fmt"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/network"
)

// Local is what a spec names and only this host has. It is made for one start,
// and is never stored or sent to another host.
type Local struct {
	Secrets Secrets `json:"secrets,omitempty"`
	// Image is the unpacked image, for an engine that mounts layers itself
	// ([Capabilities]). Others find Spec.Image by its digest.
	Image Unpacked `json:"image"`
	// Folders maps the names in Mount.Folder to directories of the host. Each
	// path is absolute.
	Folders map[string]string `json:"folders,omitempty"`
	// Connections and Commands are the unix sockets at which a test's mocks
	// listen; see [Mocks].
	Connections string `json:"connections,omitempty"`
	Commands    string `json:"commands,omitempty"`
}

// Secrets maps the name of a secret to its value. The engine keeps values only
// in memory and in the sandbox's own memory file system.
type Secrets map[string][]byte

// Unpacked is an image on this host.
type Unpacked struct {
	// Layers are the directories of the unpacked layers, lowest first.
	Layers []string `json:"layers"`
	// Folders are folders of the image whose owner (in the image's ids) and mode
	// must be set before the start, because overlayfs shows wrong ones.
	Folders []Folder `json:"folders,omitempty"`
	// HoldFile, unless empty, is a file. A shared lock on it (flock(2)) keeps
	// the layers from being removed. The caller holds a lock until Close; a
	// sandbox that is kept takes its own.
	HoldFile string `json:"hold_file,omitempty"`
}

// Folder is an absolute path in an image with its owner and mode.
type Folder struct {
	Path string `json:"path"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	Mode uint32 `json:"mode"`
}

// Validate refuses a local that lacks what the spec names, with an
// [*InvalidError].
func (l *Local) Validate(s *Spec) error {
	for _, v := range s.Environment {
		if err := l.hasSecret(v.Secret); err != nil {
			return err
		}
	}
	for _, m := range s.Mounts {
		if err := l.hasSecret(m.Secret); err != nil {
			return err
		}
		if m.Folder == "" {
			continue
		}
		if path, given := l.Folders[m.Folder]; !given || !filepath.IsAbs(path) {
			return &InvalidError{Field: "mount " + m.Target, Why: fmt.Sprintf("its folder %q is %q here, which is not an absolute path", m.Folder, path)}
		}
	}
	if s.Mocks == nil {
		return nil
	}
	if (s.Network.Mode != network.ModeNone || len(s.Mocks.Loopback) > 0) && !filepath.IsAbs(l.Connections) {
		return &InvalidError{Field: "mocks", Why: fmt.Sprintf("the socket %q that answers connections is not an absolute path", l.Connections)}
	}
	if len(s.Mocks.Commands) > 0 && !filepath.IsAbs(l.Commands) {
		return &InvalidError{Field: "mocks", Why: fmt.Sprintf("the socket %q that answers commands is not an absolute path", l.Commands)}
	}
	return nil
}

func (l *Local) hasSecret(name string) error {
	if _, given := l.Secrets[name]; name != "" && !given {
		return &InvalidError{Field: "secret " + name, Why: "no value was given for it"}
	}
	return nil
}
