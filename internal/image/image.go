package image

import "time"

// Image is one image of the store, with what is needed to start it.
type Image struct {
	// Reference is the name as the user wrote it; Canonical the same in full.
	Reference string `json:"reference"`
	Canonical string `json:"canonical"`
	// Digest pins the image: repository@sha256:…, of the manifest of its platform. It can be pulled and looked up.
	Digest string `json:"digest"`
	// ID is the digest of the config, Docker's image id.
	ID       string    `json:"id"`
	Platform Platform  `json:"platform"`
	Config   RunConfig `json:"config"`
	// Layers are the lower directories, the lowest first. A layer that the image lists twice is here once, where it is
	// highest: that gives the same files, and overlayfs refuses to stack a directory on itself.
	Layers []Layer `json:"layers"`
	// Size is the bytes of the unpacked layers.
	Size    int64     `json:"size"`
	Created time.Time `json:"created,omitzero"`
	Pulled  time.Time `json:"pulled,omitzero"`
	// Folders are those whose owner and mode overlayfs shows wrong.
	Folders []Folder `json:"-"`
	// HoldFile is what Hold locks, for a process that outlives the one with the hold.
	HoldFile string `json:"-"`
}

// Folder is what a folder of the image has to be. A layer that has something in a
// folder of a lower one and doesn't list it hides its owner and mode.
type Folder struct {
	Path string `json:"path"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	Mode uint32 `json:"mode"`
}

// RunConfig is what an image says about how to run it (image-spec, config.md). It is data from outside: names in User
// are unresolved, and WorkingDir is known to be absolute, clean and outside /proc, /sys and /dev, or empty.
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
	Path   string `json:"path"`    // the unpacked tree; read-only by contract
	Blob   int64  `json:"blob"`    // bytes of the blob
	Size   int64  `json:"size"`    // bytes of the unpacked files
}
