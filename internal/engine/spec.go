package engine

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/network"
)

// Spec says everything about a sandbox except its secret values and what only
// one host has ([Local]). It is data: safe to print, to store, and to send to
// another host. Its text is UTF-8 without NUL; see [Spec.Validate].
type Spec struct {
	// ID is the run's id: lower-case letters, digits and '-', at most 64.
	ID string `json:"id"`

	Image Image `json:"image"`

	// Args is the command line; Args[0] is looked up in the sandbox's PATH.
	Args []string `json:"args"`
	// Environment is the complete environment of the tool except for the secret
	// values, PATH, HOME and HOSTNAME, which the engine fills in when absent.
	Environment []Variable `json:"environment,omitempty"`
	// WorkingDir is created when missing and is writable, except for "/", which
	// is as the image's root is. Empty means one that the engine picks.
	WorkingDir string `json:"working_dir,omitempty"`
	// Volumes are folders that the image declares as writable: they are, within
	// the disk limit, with what the image has in them.
	Volumes []string `json:"volumes,omitempty"`
	// User is "uid[:gid]" or "name[:group]", names being looked up in the
	// image's /etc/passwd and /etc/group. Empty means root of the sandbox,
	// which is an unprivileged id of the host.
	User string `json:"user,omitempty"`

	Mounts    []Mount   `json:"mounts,omitempty"`
	Resources Resources `json:"resources"`
	Security  Security  `json:"security"`

	Network network.Policy `json:"network"`

	// Terminal gives the tool a terminal of Columns x Rows as its streams.
	Terminal bool   `json:"terminal,omitempty"`
	Columns  uint16 `json:"columns,omitempty"`
	Rows     uint16 `json:"rows,omitempty"`

	// MaxOutputBytes bounds what is read from the file that the tool finds in
	// $MAYFLY_OUTPUT. Zero means no such file.
	MaxOutputBytes int64 `json:"max_output_bytes,omitempty"`

	// KeepFor keeps a sandbox whose tool failed or had to be ended, so that
	// somebody can look inside; zero removes it at once.
	KeepFor time.Duration `json:"keep_for,omitempty"`

	// Mocks, unless nil, stands in for what the tool reaches out to; see [Mocks].
	Mocks *Mocks `json:"mocks,omitempty"`
}

// Validate refuses what no engine can run: an empty command, text that can't
// reach a process as it stands, and rules that nobody would read, with an
// [*InvalidError].
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

// Image says which image the sandbox has.
type Image struct {
	// Reference is what was asked for, Digest what it was resolved to
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

// In is the variable's value. A secret's is without one line break at its end:
// editors and echo put it there, and no header or password has it.
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
	MountFile    MountKind = "file"    // a read-only copy of a file or folder of the tool's own
	MountScratch MountKind = "scratch" // an empty writable directory, gone after the run
	MountCache   MountKind = "cache"   // a writable directory kept between runs of the tool

	MountArtifact MountKind = "artifact" // an empty writable directory that is saved after a success
	MountHanded   MountKind = "handed"   // a writable copy of what another run saved so
)

// Mount is one file or directory that the tool finds at Target.
type Mount struct {
	Kind   MountKind `json:"kind"`
	Target string    `json:"target"` // absolute and clean
	// Secret is the secret's name (MountSecret).
	Secret string `json:"secret,omitempty"`
	// Content is the file's bytes (MountContent).
	Content []byte `json:"content,omitempty"`
	// Folder names one of [Local]'s. MountFile copies Path, a local path below
	// the folder that no symbolic link leads out of; MountCache copies from
	// Path.tar below it, and back after a success; MountArtifact copies to it
	// and MountHanded from it.
	Folder string `json:"folder,omitempty"`
	Path   string `json:"path,omitempty"`
	// Size is the limit in bytes (MountScratch, MountCache); zero shares the disk limit.
	Size int64 `json:"size,omitempty"`
	// Executable makes the file executable (MountContent).
	Executable bool `json:"executable,omitempty"`
}

// Resources are hard limits. Every field is enforced or Start fails; zero
// values are not allowed except where said.
type Resources struct {
	CPU        int64 `json:"cpu_millis"`            // thousandths of a core
	Memory     int64 `json:"memory_bytes"`          // with files on the sandbox's own file system; no swap
	Disk       int64 `json:"disk_bytes"`            // what the tool may write, volumes with a size of their own not counted
	PIDs       int64 `json:"pids"`                  // processes and threads
	NoFile     int64 `json:"nofile,omitempty"`      // files that a process may have open; zero means OpenFiles, which it may raise to MostNoFile
	MostNoFile int64 `json:"most_nofile,omitempty"` // the hard limit where NoFile is zero; zero means MostOpenFiles
	Bandwidth  int64 `json:"bandwidth,omitempty"`   // bits per second each way; zero means unlimited
}

// How many files a process may have open when Resources don't say, where the
// host allows as many: the soft and the hard limit. Programs that use select(2)
// or close every descriptor need a low soft limit; others raise it.
const (
	OpenFiles     = 1024
	MostOpenFiles = 65536
)

// Security is what a tool may ask of the sandbox's profile.
type Security struct {
	// Writable makes the image's file system writable (within the disk limit).
	Writable bool `json:"writable,omitempty"`
	// Capabilities that the tool keeps, such as "CAP_NET_BIND_SERVICE". They
	// count in the sandbox's own user namespace only.
	Capabilities []string `json:"capabilities,omitempty"`
	// Runtime is "" or "default" for the engine's own, or "gvisor".
	Runtime string `json:"runtime,omitempty"`
}

// OtherRuntime says whether it asks for a runtime that isn't the engine's own.
func (s Security) OtherRuntime() bool { return s.Runtime != "" && s.Runtime != "default" }
