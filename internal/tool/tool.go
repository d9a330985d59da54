// Package tool reads tool definitions: YAML in, typed and validated values out.
//
// It has the tables of the keys of a definition; package shape reads files by such tables, and makes the JSON Schema from
// them. Methods of [Tool] say what a definition means for a run: which secrets, which variables, which defaults. They read
// the files that a definition names, but start no process and use no network.
package tool

import (
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// Tool is one definition. A zero value means that the definition doesn't give the field; [Tool.Defaults] fills it in.
type Tool struct {
	// Name is the tool's name, by default the file's base name.
	Name        string
	Description string
	// Image is the OCI reference to run, by tag or digest.
	Image string
	// Command and Script say what to run. At most one is set; without them the image's own entrypoint runs.
	Command *Command
	Script  *Script

	Args        []Arg
	Environment []EnvVar
	Volumes     []Volume
	Resources   Resources
	Security    Security
	// Network is nil if the definition doesn't give it.
	Network *network.Policy
	// EgressAt has the position of each rule of Network; nil if the rules aren't in the definition.
	EgressAt []shape.Position

	// WorkingDir is absolute, or empty.
	WorkingDir string
	// Timeout is how long each attempt of a run may take, without the pull of the image; zero if the definition doesn't give it.
	Timeout time.Duration
	Retry   *Retry
	// Outputs are the names that the tool promises to write to $MAYFLY_OUTPUT.
	Outputs []string
	Labels  map[string]string

	// Source says where the definition comes from.
	Source Source
}

// Source says where a definition comes from.
type Source struct {
	// Path is the file as it was named to [Load], or the name given to [Parse].
	Path string
	// Dir is the tool's folder, which contains its script and files; empty for a definition that isn't in a file.
	Dir string
	// Files identifies the files of the tool's volumes, with their paths in its folder: the digest of a tree of files
	// (package content). It is empty if the folder itself is on this machine.
	Files string
	// Position is the start of the definition.
	Position shape.Position
	// Sent says that somebody else has sent the folder: nothing outside of it is looked at.
	Sent bool
}

// Command is what to run instead of the image's entrypoint: an argument vector, or a line for sh -c.
type Command struct {
	// Argv is the program and its arguments; nil if Shell is set.
	Argv []string
	// Shell is a line for the image's own `sh -c`; empty if Argv is set.
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
	// Text is the program. If File is set, it is empty until [Tool.ReadFiles].
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
	// Default is nil if the argument has none.
	Default *shape.Value
	// Options are the only values allowed; an empty list allows all.
	Options []shape.Value
	// Env is the variable that gets the input.
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
	// MountPath is absolute and clean; for a secret, /secrets/NAME by default.
	MountPath string
	Position  shape.Position
}

// Resources are a run's limits; zero means that the definition doesn't give the limit.
type Resources struct {
	// CPU is in thousandths of a processor.
	CPU int64
	// Memory and Disk are in bytes.
	Memory, Disk int64
	// PIDs is the number of processes and threads.
	PIDs int64
	// NoFile is the number of files that a process may have open. Without it the soft limit is 1024 and the hard limit 65536.
	NoFile int64
	// MostNoFile is the hard limit if NoFile isn't given; a host's policy may lower it.
	MostNoFile int64
	// Bandwidth is in bits per second, for each direction.
	Bandwidth int64
}

// Security is how a tool is confined.
type Security struct {
	// User is "uid", "uid:gid" or names from the image's own passwd and group files.
	User string
	// ReadOnly says whether the root filesystem is read-only; nil if the definition doesn't give it.
	ReadOnly *bool
	// Capabilities are the Linux capabilities that the definition lists, in upper case and without CAP_. ROOT stands for
	// several; see [Security.Kept].
	Capabilities []string
	// Runtime names the OCI runtime; "default" is the embedded one.
	Runtime string
}

// Retry says how a failed run is repeated.
type Retry struct {
	// Attempts is the maximum number of attempts, including the first.
	Attempts int
	// Backoff is the pause before the second attempt; it doubles with each further attempt, up to MaxBackoff.
	Backoff, MaxBackoff time.Duration
	// OnExit are the exit statuses that are worth another attempt; an empty list means all except 0.
	OnExit []int
}

// Input is a checked input on its way to the tool.
type Input struct {
	// Name is the input's name, and Env the variable that gets its value.
	Name, Env, Value string
	// Default says that the value is the argument's default.
	Default bool
}

// EnvRef is one variable of a run: a literal value, or the name of the secret whose value it gets.
type EnvRef struct {
	Name string
	// Literal is the value if Secret is empty.
	Literal string
	// Secret is the secret's name, or empty.
	Secret string
}
