package engine

// Exit statuses as in shells (POSIX.1-2024, 2.8.2, which leaves the status for signal n to the shell; 128+n is usual). Package
// run has the exit statuses of runs, which include these.
const (
	// ExitFailure says that the program that runs the command failed, not the command.
	ExitFailure = 125
	// ExitNotExecutable says that the command was found but can't be executed.
	ExitNotExecutable = 126
	// ExitNotFound says that the command doesn't exist.
	ExitNotFound = 127
	// exitSignal is added to the number of a signal.
	exitSignal      = 128
	ExitInterrupted = exitSignal + int(SIGINT)
	ExitKilled      = exitSignal + int(SIGKILL)
)

// ExitSignal returns the exit status of a command that a signal ended.
func ExitSignal(s Signal) int { return exitSignal + int(s) }
