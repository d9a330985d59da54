package engine

import "time"

// Event is something that a sandbox reports while it lives: exactly one of
// the pointers is set.
type Event struct {
	Usage      *Usage      `json:"usage,omitempty"`
	Connection *Connection `json:"connection,omitempty"`
}

// Usage is what a sandbox has used so far, from the kernel's counters.
type Usage struct {
	CPUSeconds      float64 `json:"cpu_seconds"`
	MemoryBytes     int64   `json:"memory_bytes"`
	MemoryPeakBytes int64   `json:"memory_peak_bytes"`
	PIDs            int64   `json:"pids"`
	DiskBytes       int64   `json:"disk_bytes"`
	NetworkRxBytes  int64   `json:"network_rx_bytes"` // received by the tool
	NetworkTxBytes  int64   `json:"network_tx_bytes"` // sent by the tool
}

// Connection is one decision of the network policy. An allowed connection is
// reported when it ends, with its bytes; a denied connection is reported
// immediately.
type Connection struct {
	Host     string `json:"host,omitempty"` // the name that the tool looked up, if any
	Address  string `json:"address"`
	Port     uint16 `json:"port,omitempty"`
	Protocol string `json:"protocol"` // tcp, udp, icmp, or dns for a question about records of Host that aren't addresses
	Allowed  bool   `json:"allowed"`
	Rule     string `json:"rule"`             // what allowed or denied it
	Reason   string `json:"reason,omitempty"` // why it was denied or why it failed, for people
	Suggest  string `json:"suggest,omitempty"`
	Remedy   string `json:"remedy,omitempty"` // what to do in the tool's file, for people; the run sets it, not the engine
	// Mocked says that a test's mocks answered and nothing left the machine.
	Mocked  bool  `json:"mocked,omitempty"`
	RxBytes int64 `json:"rx_bytes"`
	TxBytes int64 `json:"tx_bytes"`
}

// Exit says how a sandbox ended.
type Exit struct {
	// Code is the exit status, 0 to 255; 128+n when signal n killed the tool.
	Code int `json:"code"`
	// Signal is the signal that killed the tool's first process, or 0.
	Signal Signal `json:"signal,omitempty"`
	// OutOfMemory says that a process of the sandbox was killed because the
	// sandbox exceeded its memory limit.
	OutOfMemory bool `json:"out_of_memory,omitempty"`
	// TooManySockets says that the run was ended as OutOfMemory because of its
	// number of sockets, not because of what its cgroup counted (see SocketBytes).
	TooManySockets bool `json:"too_many_sockets,omitempty"`
	// TooManyLocks says that the run was ended as OutOfMemory because of its
	// number of locks of files (see MaxLocks).
	TooManyLocks bool `json:"too_many_locks,omitempty"`
	// TooManyProcesses says that the kernel refused a process or a thread
	// because of their limit.
	TooManyProcesses bool `json:"too_many_processes,omitempty"`
	// Full is the place that had no room left at the end; nil if there was room everywhere.
	Full *Full `json:"full,omitempty"`

	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Usage    Usage     `json:"usage"`

	// Output is what the tool wrote to $MAYFLY_OUTPUT, at most
	// Spec.MaxOutputBytes; OutputTruncated says that there was more.
	Output          []byte `json:"output,omitempty"`
	OutputTruncated bool   `json:"output_truncated,omitempty"`

	// Trusting lists the tool's own files and variables with certificates that Mocks.Authority was added to.
	Trusting []string `json:"trusting,omitempty"`
	// MayRunItself lists the mocked commands that the tool's shell may run itself, without looking for a file.
	MayRunItself []string `json:"may_run_itself,omitempty"`

	// Kept says that the sandbox was kept, so that someone can look inside (Spec.KeepFor).
	Kept bool `json:"kept,omitempty"`
}

// Full names a place without room left.
type Full struct {
	// Volume is the path of a volume with its own size; empty for the disk limit.
	Volume string `json:"volume,omitempty"`
	// Files says that the number of files reached its limit, not their size.
	Files bool `json:"files,omitempty"`
}

// A run may have one socket of TCP, UDP or raw IP for each SocketBytes of its
// memory limit, and at least MinSockets. The reason: no cgroup counts the data
// of a connection that no process has accepted yet, which is at most 256 KiB.
const (
	SocketBytes = 256 << 10
	MinSockets  = 512
)

// MaxLocks is the number of locks of parts of files that a run may have. No
// cgroup counts them.
const MaxLocks = 4096
