#include "textflag.h"

// func call80() int64
// It calls getpid, number 20 of the 32-bit table, through the 32-bit entry.
TEXT ·call80(SB), NOSPLIT, $0-8
	MOVL $20, AX
	INT  $0x80
	MOVLQSX AX, AX
	MOVQ AX, ret+0(FP)
	RET

// func callX32() int64
// It calls getpid of the x32 table, whose numbers have bit 30 set.
TEXT ·callX32(SB), NOSPLIT, $0-8
	MOVL $(39 | 1<<30), AX
	SYSCALL
	MOVQ AX, ret+0(FP)
	RET
