package enginetest

// Program is a tool that the suite runs. An engine that executes images runs
// Shell with "sh -c"; the fake has a Go function of the same Name.
type Program struct{ Name, Shell string }

// The programs of the suite. Each takes one argument, $1 in the shell.
var (
	Exit         = Program{"exit", `exit "$1"`}
	Print        = Program{"print", `printf '%s' "$1"; printf '%s' "$1" >&2`}
	Copy         = Program{"copy", `cat`}
	Sleep        = Program{"sleep", `sleep 300`}
	Stubborn     = Program{"stubborn", `trap '' TERM; echo ready; while :; do sleep 1; done`}
	ShowVariable = Program{"show-variable", `eval "printf '%s' \"\$$1\""`}
	ShowFile     = Program{"show-file", `cat "$1"`}
	// RunFile succeeds if the file may be executed.
	RunFile = Program{"run-file", `test -x "$1"`}
	// WriteFile appends an x to a file.
	WriteFile = Program{"write-file", `printf x >> "$1"`}
	// WriteAndFail appends an x to a file and exits with 3.
	WriteAndFail = Program{"write-and-fail", `printf x >> "$1"; exit 3`}
	WriteOutput  = Program{"write-output", `printf '%s' "$1" > "$MAYFLY_OUTPUT"`}
	// Fill writes BYTES bytes to FILE: "FILE BYTES".
	Fill        = Program{"fill", `set -- $1; head -c "$2" /dev/zero > "$1"`}
	Flood       = Program{"flood", `head -c "$1" /dev/zero`}
	LeaveBehind = Program{"leave-behind", `sleep 300 & echo started`}
	WorkingDir  = Program{"working-dir", `pwd; : > written-here`}
	Who         = Program{"who", `id -u; id -g`}
	// Privileges prints the effective capabilities in the format of /proc/PID/status.
	Privileges = Program{"privileges", `sed -n 's/^CapEff:.//p' /proc/self/status`}
	// Compute keeps a processor busy for the given number of seconds.
	Compute = Program{"compute", `timeout "$1" sh -c 'while :; do :; done'; true`}
	// Allocate takes at least the given number of bytes of memory.
	Allocate = Program{"allocate", `awk -v n="$1" 'BEGIN { s = "x"; while (length(s) < n) s = s s; print length(s) }'`}
	// Fork starts the given number of processes.
	Fork = Program{"fork", `i=0; while [ $i -lt "$1" ]; do sleep 300 & i=$((i+1)); done; echo started`}
	// OpenFiles prints the soft and the hard limit of open files.
	OpenFiles = Program{"open-files", `ulimit -Sn; ulimit -Hn`}
	// Reach connects to "HOST PORT" and prints what it receives.
	Reach = Program{"reach", `set -- $1; sleep 1 | nc -w 30 "$1" "$2"`}
	// Terminal prints the size of the terminal, and prints it again after each line that it reads, until an empty line.
	Terminal = Program{"terminal", `stty -echo; while stty size && read -r line && [ "$line" ]; do :; done; echo to stderr >&2`}
	// Trusted prints the certificates that programs in the sandbox trust.
	Trusted = Program{"trusted", `cat "$SSL_CERT_FILE"`}
	Mocked  = Program{"mocked", `sleep 1 | nc localhost 8080 && sleep 1 | nc api.example 80 && printf '%s' "$1" | greet "$1"`}
)
