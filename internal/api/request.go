package api

// RunRequest is what was asked for with a run.
type RunRequest struct {
	Tool    string  `json:"tool,omitempty" doc:"the tool or workflow of the project; of a step, the workflow's, if the step's tool is a part of it"`
	Version int     `json:"version,omitempty" doc:"its version; list-files has its files"`
	Bundle  *Bundle `json:"bundle,omitempty" doc:"the definition that came with the request"`

	Inputs      map[string]any    `json:"inputs" doc:"values for the args"`
	Environment map[string]string `json:"environment" doc:"variables, which override those of the tool"`
	Shared      map[string]string `json:"shared,omitempty" doc:"of a step: variables of its workflow, which override those of the tool; inputs and environment override them"`
	// Hidden says that values are masked.
	Hidden bool `json:"hidden,omitempty" doc:"the values of inputs, environment and shared may have been made of secrets, so that each is ***"`

	Secrets []string `json:"secrets,omitempty" doc:"the names of the secrets that this run alone was given; their values aren't kept"`

	Test  *NewTest `json:"test,omitempty" doc:"of a run of tests: what was asked for"`
	Tests []string `json:"tests,omitempty" doc:"of a run of tests: the names of the tests that it carries out, in order"`

	Set           map[string]string `json:"set,omitempty" doc:"what overrides the definition"`
	GraceSeconds  float64           `json:"grace_seconds" doc:"between TERM and KILL"`
	KeepOnFailure bool              `json:"keep_on_failure,omitempty" doc:"whether the sandbox is kept for a while if the tool fails"`
	Selection
	Pool        string            `json:"pool"`
	Runner      []string          `json:"runner,omitempty" doc:"labels that its runner must have"`
	Labels      map[string]string `json:"labels,omitempty"`
	Priority    int               `json:"priority"`
	Concurrency *Concurrency      `json:"concurrency,omitempty"`

	Definition *Definition    `json:"definition,omitempty" doc:"the definition of the tool, with set and with the limits in force"`
	Workflow   *Flow          `json:"workflow,omitempty" doc:"the workflow, with the graph of its steps"`
	Tools      map[string]int `json:"tools,omitempty" doc:"of a workflow: the versions of the project's tools that its steps name"`
}

// Definition is a tool that runs, with a default for what its definition leaves out.
type Definition struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Image       string            `json:"image"`
	Command     []string          `json:"command,omitempty" doc:"the program and its arguments; without a command and a script, the image's own runs"`
	Script      string            `json:"script,omitempty" doc:"the text of the program that runs instead of a command"`
	ScriptFile  string            `json:"script_file,omitempty" doc:"the script's file in the tool's folder, if it has one"`
	Args        []Arg             `json:"args"`
	Environment []Variable        `json:"environment"`
	Volumes     []Volume          `json:"volumes"`
	Outputs     []string          `json:"outputs,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`

	Network      string   `json:"network" enum:"none,public,open,list"`
	Egress       []string `json:"egress,omitempty" doc:"the rules of the network list, as a definition writes them"`
	User         string   `json:"user,omitempty" doc:"without one, the engine's"`
	ReadOnly     bool     `json:"read_only" doc:"whether the image's file system is"`
	Capabilities []string `json:"capabilities,omitempty"`
	Runtime      string   `json:"runtime"`
	WorkingDir   string   `json:"working_dir,omitempty" doc:"without one, the image's"`

	Limits ToolLimits `json:"limits"`
	Retry  *Retry     `json:"retry,omitempty"`
}

// Arg is an input that a tool declares.
type Arg struct {
	Name        string `json:"name"`
	Type        string `json:"type" enum:"string,integer,number,boolean,array,object"`
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
	Default     any    `json:"default,omitempty"`
	Options     []any  `json:"options,omitempty" doc:"the only values allowed"`
	Env         string `json:"env,omitempty" doc:"the variable that gets it; a workflow's inputs have none"`
}

// Variable is one of a tool's environment.
type Variable struct {
	Name   string `json:"name"`
	Value  string `json:"value,omitempty"`
	Secret string `json:"secret,omitempty" doc:"the name of the secret whose value it gets"`
}

// Volume is something that is mounted. Exactly one of Secret, File, SizeBytes and Cache is set.
type Volume struct {
	Name      string `json:"name,omitempty"`
	MountPath string `json:"mount_path"`
	Secret    string `json:"secret,omitempty" doc:"the name of the secret whose value the file has"`
	File      string `json:"file,omitempty" doc:"in the tool's folder"`
	SizeBytes int64  `json:"size_bytes,omitempty" doc:"of an empty folder"`
	Cache     string `json:"cache,omitempty" doc:"the name of a folder that is kept between runs"`
}

// ToolLimits are the limits of a run, in the units of Usage.
type ToolLimits struct {
	CPU            float64 `json:"cpu" doc:"processors"`
	MemoryBytes    int64   `json:"memory_bytes"`
	DiskBytes      int64   `json:"disk_bytes"`
	PIDs           int64   `json:"pids"`
	NoFile         int64   `json:"nofile,omitempty" doc:"open files of a process; without it, the soft limit is 1024"`
	BandwidthBits  int64   `json:"bandwidth_bits,omitempty" doc:"bits a second, each way; without it, there is no limit"`
	TimeoutSeconds float64 `json:"timeout_seconds" doc:"of each attempt"`
}

// Retry is how a failed tool is started again.
type Retry struct {
	Attempts          int     `json:"attempts" doc:"with the first one"`
	BackoffSeconds    float64 `json:"backoff_seconds" doc:"before the second attempt; it doubles"`
	MaxBackoffSeconds float64 `json:"max_backoff_seconds"`
	OnExit            []int   `json:"on_exit,omitempty" doc:"the exit statuses that are worth another attempt; without them, all except 0"`
}
