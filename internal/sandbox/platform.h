// The C code of this package depends on how two architectures pass arguments to system calls, and on a C library.
#if !defined(__linux__) || !defined(__LP64__) || !(defined(__x86_64__) || defined(__aarch64__))
#error "mayfly-shim is written for Linux on amd64 and arm64: for another architecture, check the arguments of clone and mmap"
#endif
#include <features.h>
#ifndef __GLIBC__
#error "mayfly-shim needs glibc: other C libraries pass no arguments to constructors, or lack pthread_setattr_default_np and mallopt"
#endif
