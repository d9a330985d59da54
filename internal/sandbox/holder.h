// Queued signals and timers, and bytes of System V segments that are locked: of all processes of a run together.
#define MAYFLY_RUN_SIGNALS 1024
#define MAYFLY_RUN_LOCKED (256 << 10)

// What the constructor in holder.c leaves for holder.go.
struct mayfly_holder {
	int pid;           // 0 when this process isn't a shim, below 0 when it couldn't be made
	int leash;         // the write end of the pipe whose end ends the holder
	int ready;         // an errno comes here: 0 when the holder is in force
	int error;         // the errno of what failed, or 0
	const char *doing; // what failed
};

extern struct mayfly_holder mayfly_holder;
