#ifndef MAYFLY_HOLDER_H
#define MAYFLY_HOLDER_H

// Limits of all processes of a run together: queued signals and timers, and bytes of locked System V segments.
#define MAYFLY_RUN_SIGNALS 1024
#define MAYFLY_RUN_LOCKED (256 << 10)

// mayfly_holder is what the constructor in holder.c passes to holder.go.
struct mayfly_holder {
	int pid;           // 0 if this process isn't a shim, negative if the holder couldn't be made
	int leash;         // the write end of a pipe: the holder ends when it is closed
	int ready;         // the read end of a pipe with one errno: 0 when the holder is in force
	int error;         // the errno of the step that failed, or 0
	const char *doing; // the step that failed
};

extern struct mayfly_holder mayfly_holder;

#endif
