package engine

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/network"
)

// Spec describes a sandbox, except for its secret values and what only one host
// has ([Local]). It is data: safe to print, to store, and to send to another
// host. Its text is UTF-8 without NUL; see [Spec.Validate].
type Spec struct {
	// ID is the run's id: lower-case letters, digits and '-', at most 64.
	ID string `json:"id"`

	Image Image `json:"image"`

	// Args is the command line; Args[0] is looked up in the sandbox's PATH.
	Args []string `json:"args"`
	// Environment is the complete environment of the tool except for the secret
	// values, PATH, HOME and HOSTNAME, which the engine fills in when absent.
	Environment []Variable `json:"environment,omitempty"`
	// WorkingDir is created if it doesn't exist, and is writable, except for
	// "/", which stays as it is in the image. If empty, the engine chooses one.
	WorkingDir string `json:"working_dir,omitempty"`
	// Volumes are folders that the image declares as writable. They keep the
	// image's files, and are writable within the disk limit.
	Volumes []string `json:"volumes,omitempty"`
	// User is "uid[:gid]" or "name[:group]". Names are looked up in the image's
	// /etc/passwd and /etc/group. Empty means root of the sandbox, which is an
	// unprivileged id of the host.
	User string `json:"user,omitempty"`

	Mounts    []Mount   `json:"mounts,omitempty"`
	Resources Resources `json:"resources"`
	Security  Security  `json:"security"`

	Network network.Policy `json:"network"`

	// Terminal gives the tool a terminal of Columns x Rows as its streams.
	Terminal bool   `json:"terminal,omitempty"`
	Columns  uint16 `json:"columns,omitempty"`
	Rows     uint16 `json:"rows,omitempty"`

	// MaxOutputBytes is the largest number of bytes that are read from the file
	// $MAYFLY_OUTPUT. Zero means that there is no such file.
	MaxOutputBytes int64 `json:"max_output_bytes,omitempty"`

	// KeepFor is how long a sandbox is kept whose tool failed or was ended, so
	// that someone can look inside. Zero removes it immediately.
	KeepFor time.Duration `json:"keep_for,omitempty"`

	// Mocks, unless nil, replaces the tool's surroundings; see [Mocks].
	Mocks *Mocks `json:"mocks,omitempty"`
}

// Validate refuses what no engine can run, with an [*InvalidError]: an empty
// command, text that can't be passed to a process unchanged, and network rules
// that would have no effect.
func (s *Spec) Validate() error {
	if len(s.Args) == 0 || s.Args[0] == "" {
		return &InvalidError{Field: "command", Why: "it is empty, and the image has none"}
	}
	for i, arg := range s.Args {
		if err := validText(fmt.Sprintf("argument %d of the command", i), arg); err != nil {
			return err
		}
	}
	for _, v := range s.Environment {
		if err := validText("variable "+v.Name, v.Name+v.Value); err != nil {
			return err
		}
	}
	if err := s.Network.Validate(); err != nil {
		return &InvalidError{Field: "network", Why: err.Error()}
	}
	if s.Mocks != nil {
		return s.Mocks.validate()
	}
	return nil
}

func validText(field, text string) error {
	switch {
	case !utf8.ValidString(text):
		return &InvalidError{Field: field, Why: "it is not UTF-8; encode it, for example with base64"}
	case strings.ContainsRune(text, 0):
		return &InvalidError{Field: field, Why: "it has a NUL character, which no argument or variable can have"}
	}
	return nil
}

// Image names the image of the sandbox.
type Image struct {
	// Reference is the name in the tool; Digest is what it was resolved to
	// (repository@sha256:…).
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
}

// Variable is one environment variable: a literal value, or the name of the
// secret whose value it gets.
type Variable struct {
	Name   string `json:"name"`
	Value  string `json:"value,omitempty"`
	Secret string `json:"secret,omitempty"`
}

// In returns the variable's value. It removes one line break at the end of a
// secret: editors and echo add it, and no header or password contains it.
func (v Variable) In(secrets Secrets) string {
	if v.Secret == "" {
		return v.Value
	}
	value := string(secrets[v.Secret])
	if cut, found := strings.CutSuffix(value, "\r\n"); found {
		return cut
	}
	return strings.TrimSuffix(value, "\n")
}

// MountKind says where the content of a mount comes from.
type MountKind string

// The kinds of mounts.
const (
	MountSecret  MountKind = "secret"  // one read-only file with a secret's value
	MountContent MountKind = "content" // one read-only file with the bytes in Content
	MountFile    MountKind = "file"    // a read-only copy of one of the tool's files or folders
	MountScratch MountKind = "scratch" // an empty writable directory, gone after the run
	MountCache   MountKind = "cache"   // a writable directory kept between runs of the tool

	MountArtifact MountKind = "artifact" // an empty writable directory that is saved after a success
	MountHanded   MountKind = "handed"   // a writable copy of an artifact that another run saved
)

// Mount is one file or directory that the tool finds at Target.
type Mount struct {
	Kind   MountKind `json:"kind"`
	Target string    `json:"target"` // absolute and clean
	// Secret is the secret's name (MountSecret).
	Secret string `json:"secret,omitempty"`
	// Content is the file's bytes (MountContent).
	Content []byte `json:"content,omitempty"`
	// Folder is the name of a folder in [Local], and Path is a local path below
	// it. MountFile copies the file or folder at Path, and follows no symbolic
	// link out of the folder. MountCache copies from the archive Path.tar, and
	// back to it after a success. MountArtifact copies to Path.tar, and
	// MountHanded from it.
	Folder string `json:"folder,omitempty"`
	Path   string `json:"path,omitempty"`
	// Size is the limit in bytes (MountScratch, MountCache); zero shares the disk limit.
	Size int64 `json:"size,omitempty"`
	// Executable makes the file executable (MountContent).
	Executable bool `json:"executable,omitempty"`
}

// Resources are hard limits. Every field is enforced or Start fails. Zero is
// allowed only where it has a meaning.
type Resources struct {
	CPU        int64 `json:"cpu_millis"`            // thousandths of a core
	Memory     int64 `json:"memory_bytes"`          // including files on the sandbox's own file system; no swap
	Disk       int64 `json:"disk_bytes"`            // what the tool may write, except to volumes with their own size
	PIDs       int64 `json:"pids"`                  // processes and threads
	NoFile     int64 `json:"nofile,omitempty"`      // files that a process may open; zero means OpenFiles, which it may raise to MostNoFile
	MostNoFile int64 `json:"most_nofile,omitempty"` // the hard limit if NoFile is zero; zero means MostOpenFiles
	Bandwidth  int64 `json:"bandwidth,omitempty"`   // bits per second each way; zero means unlimited
}

// The default soft and hard limit of open files, if the host allows as many.
// Programs that use select(2) or close every descriptor need a low soft limit;
// others raise it.
const (
	OpenFiles     = 1024
	MostOpenFiles = 65536
)

// Security is what a tool may change in the sandbox's profile.
type Security struct {
	// Writable makes the image's file system writable (within the disk limit).
	Writable bool `json:"writable,omitempty"`
	// Capabilities are those that the tool keeps, such as "CAP_NET_BIND_SERVICE".
	// They apply only in the sandbox's own user namespace.
	Capabilities []string `json:"capabilities,omitempty"`
	// Runtime is "" or "default" for the engine's own, or "gvisor".
	Runtime string `json:"runtime,omitempty"`
}

// OtherRuntime reports whether Runtime isn't the engine's own.
func (s Security) OtherRuntime() bool { return s.Runtime != "" && s.Runtime != "default" }
