package sandbox

import "golang.org/x/sys/unix"

// auditArch is this architecture's table of system calls.
const auditArch = unix.AUDIT_ARCH_AARCH64
