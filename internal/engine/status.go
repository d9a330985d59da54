package engine

// Exit statuses as shells have them (POSIX.1-2024, 2.8.2; the one of 128+n for signal n is a shell's choice there, and the
// usual one). Those of a run are in package run, which has these too.
const (
	// ExitFailure is a failure of what runs the command, and not of the command.
	ExitFailure = 125
	// ExitNotExecutable is a command that was found and can't be executed.
	ExitNotExecutable = 126
	// ExitNotFound is a command that isn't there.
	ExitNotFound = 127
	// exitSignal is what is added to the number of a signal.
	exitSignal      = 128
	ExitInterrupted = exitSignal + int(SIGINT)
	ExitKilled      = exitSignal + int(SIGKILL)
)

// ExitSignal is the exit status of a command that a signal ended.
func ExitSignal(s Signal) int { return exitSignal + int(s) }
