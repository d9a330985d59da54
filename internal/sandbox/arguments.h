// The shim's arguments. Package wire (internal/oci/wire/arguments.go) has the same for Go, and says what they mean;
// TestArguments compares the two.
#ifndef MAYFLY_ARGUMENTS_H
#define MAYFLY_ARGUMENTS_H

#include <string.h>

#define MAYFLY_SUPERVISE "supervise"
#define MAYFLY_HERE "here"

enum {
	MAYFLY_ARG_SUPERVISE = 1,
	MAYFLY_ARG_FIRST_ID,
	MAYFLY_ARG_ID_COUNT,
	MAYFLY_ARG_PLACE,
	MAYFLY_ARGUMENT_COUNT,
};

// mayfly_supervises says whether this process is a shim.
static inline int mayfly_supervises(int argc, char **argv)
{
	return argc == MAYFLY_ARGUMENT_COUNT && strcmp(argv[MAYFLY_ARG_SUPERVISE], MAYFLY_SUPERVISE) == 0;
}

#endif
