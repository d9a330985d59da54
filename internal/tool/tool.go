// Package tool reads tool definitions: YAML in, typed and validated values out.
//
// The tables of what keys a definition has are package shape's, which reads by them and makes the JSON Schema of them. What a
// definition means for a run (which secret, which variable, which default) is answered here too, by functions of a [Tool].
// They read the files that a definition names; they start nothing and fetch nothing.
package tool

import (
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// Tool is one definition. Zero values mean that the definition didn't say; [Tool.Defaults] fills them in.
type Tool struct {
	// Name is the tool's name, or the file's base name where the definition gives none.
	Name        string
	Description string
	// Image is the OCI reference to run, by tag or digest.
	Image string
	// Command and Script say what to run; at most one is set, and with neither the image's own entrypoint runs.
	Command *Command
	Script  *Script

	Args        []Arg
	Environment []EnvVar
	Volumes     []Volume
	Resources   Resources
	Security    Security
	// Network is nil where the definition doesn't say.
	Network *network.Policy
	// EgressAt is where each rule of Network stands; nil for rules that the definition doesn't have.
	EgressAt []shape.Position

	// WorkingDir is absolute, or empty.
	WorkingDir string
	// Timeout is how long each attempt of a run may take, image pull not included; zero where the definition doesn't say.
	Timeout time.Duration
	Retry   *Retry
	// Outputs are the names that the tool promises to write to $MAYFLY_OUTPUT.
	Outputs []string
	Labels  map[string]string

	// Source says where the definition came from.
	Source Source
}

// Source is where a definition came from.
type Source struct {
	// Path is the file as it was named to [Load], or the name given to [Parse].
	Path string
	// Dir is the tool's folder, in which its script and files are; empty for a definition not read from a file.
	Dir string
	// Files has the files of the tool's volumes, with their paths in its folder: a tree of files by its digest (package
	// content). It is empty where the folder itself is on this machine.
	Files string
	// Position is the start of the definition.
	Position shape.Position
}

// Command is what to run instead of the image's entrypoint: an argument vector, or a line for sh -c.
type Command struct {
	// Argv is the program and its arguments; nil where Shell is set.
	Argv []string
	// Shell is a line for the image's own `sh -c`; empty where Argv is set.
	Shell    string
	Position shape.Position
}

// Args returns the argument vector to execute.
func (c *Command) Args() []string {
	if c.Argv != nil {
		return c.Argv
	}
	return []string{"/bin/sh", "-c", c.Shell}
}

// Script is a program given as text, or as a file of the tool's folder.
type Script struct {
	// Text is the program; where File is set it is empty until [Tool.ReadFiles].
	Text string
	// File is a slash-separated path inside the tool's folder.
	File     string
	Position shape.Position
}

// Arg is one typed input.
type Arg struct {
	Name        string
	Type        string
	Description string
	Required    bool
	// Default is nil where there is none.
	Default *shape.Value
	// Options are the only values allowed; none means all.
	Options []shape.Value
	// Env is the variable that the input arrives in.
	Env      string
	Position shape.Position
}

// EnvVar is one variable of a tool's environment, as written.
type EnvVar struct {
	Name, Value string
	Position    shape.Position
}

// Volume is something mounted into the sandbox. Exactly one of Secret, File, Size and Cache is set.
type Volume struct {
	Name string
	// Secret names the secret whose value is the mounted file.
	Secret string
	// File is a slash-separated path inside the tool's folder.
	File string
	// Size is the size in bytes of an empty directory that is gone after the run.
	Size int64
	// Cache names a directory that is kept between runs of this tool.
	Cache string
	// MountPath is absolute and clean; /secrets/NAME for a secret that gives none.
	MountPath string
	Position  shape.Position
}

// Resources are a run's limits; zero means that the definition didn't say.
type Resources struct {
	// CPU is in thousandths of a processor.
	CPU int64
	// Memory and Disk are in bytes.
	Memory, Disk int64
	// PIDs is the number of processes and threads.
	PIDs int64
	// NoFile is the number of files that a process may have open. Without it the
	// soft limit is 1024 and the hard one 65536.
	NoFile int64
	// MostNoFile is the hard limit where NoFile isn't said, which a host's policy may lower.
	MostNoFile int64
	// Bandwidth is in bits per second, for each direction.
	Bandwidth int64
}

// Security is how a tool is confined.
type Security struct {
	// User is "uid", "uid:gid" or names from the image's own passwd and group files.
	User string
	// ReadOnly is whether the root filesystem is; nil where the definition doesn't say.
	ReadOnly *bool
	// Capabilities are the Linux capabilities asked for, in upper case without
	// CAP_, as they are written: ROOT stands for several (Kept).
	Capabilities []string
	// Runtime names the OCI runtime, "default" being the embedded one.
	Runtime string
}

// Retry says how a failed run is repeated.
type Retry struct {
	// Attempts is how many times to run at most, the first one included.
	Attempts int
	// Backoff is the pause before the second attempt; it doubles with each further one, up to MaxBackoff.
	Backoff, MaxBackoff time.Duration
	// OnExit are the exit statuses that are worth another attempt; none means every one but 0.
	OnExit []int
}

// Input is a checked input on its way to the tool.
type Input struct {
	// Name is the input's name and Env the variable that it arrives in.
	Name, Env, Value string
	// Default says that nobody gave it: the value is the argument's default.
	Default bool
}

// EnvRef is one variable of a run: a literal value, or the name of the secret whose value it gets.
type EnvRef struct {
	Name string
	// Literal is the value where Secret is empty.
	Literal string
	// Secret is the secret's name, or empty.
	Secret string
}
