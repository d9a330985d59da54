package image

import "time"

// Image is an image in the store, with everything that a start needs.
type Image struct {
	// Reference is the name as the user wrote it; Canonical is the full name.
	Reference string `json:"reference"`
	Canonical string `json:"canonical"`
	// Digest is repository@sha256:…, with the digest of the manifest for the platform. It can be pulled and looked up.
	Digest string `json:"digest"`
	// ID is the digest of the config, which is Docker's image id.
	ID       string    `json:"id"`
	Platform Platform  `json:"platform"`
	Config   RunConfig `json:"config"`
	// Layers are the lower directories, lowest first. A layer that the image lists twice is here once, at its highest place:
	// the files are the same, and overlayfs doesn't accept the same directory twice.
	Layers []Layer `json:"layers"`
	// Size is the size of the unpacked layers in bytes.
	Size    int64     `json:"size"`
	Created time.Time `json:"created,omitzero"`
	Pulled  time.Time `json:"pulled,omitzero"`
	// Folders are the folders for which overlayfs shows the wrong owner and mode.
	Folders []Folder `json:"-"`
	// HoldFile is the file that Hold locks. A process that outlives the one with the hold can lock it too.
	HoldFile string `json:"-"`
}

// Folder has the owner and mode that a folder of the image must have. Overlayfs
// shows others if a layer has files in a folder of a lower layer but doesn't list
// the folder.
type Folder struct {
	Path string `json:"path"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	Mode uint32 `json:"mode"`
}

// RunConfig says how to run an image (image-spec, config.md). It is untrusted: the names in User are not resolved. WorkingDir is
// empty, or an absolute, clean path outside /proc, /sys and /dev.
type RunConfig struct {
	Entrypoint   []string            `json:"entrypoint,omitempty"`
	Cmd          []string            `json:"cmd,omitempty"`
	Env          []string            `json:"env,omitempty"`
	WorkingDir   string              `json:"working_dir,omitempty"`
	User         string              `json:"user,omitempty"`
	Labels       map[string]string   `json:"labels,omitempty"`
	Volumes      map[string]struct{} `json:"volumes,omitempty"`
	ExposedPorts map[string]struct{} `json:"exposed_ports,omitempty"`
	StopSignal   string              `json:"stop_signal,omitempty"`
}

// Layer is one unpacked layer.
type Layer struct {
	DiffID string `json:"diff_id"` // sha256:… of the uncompressed tar
	Digest string `json:"digest"`  // sha256:… of the blob in the registry
	Path   string `json:"path"`    // the unpacked tree, which nobody may change
	Blob   int64  `json:"blob"`    // size of the blob in bytes
	Size   int64  `json:"size"`    // size of the unpacked files in bytes
}
