//go:build shim

// Replacements for two functions of the C library, for Go's runtime.
//
// In a program with cgo the runtime maps memory and makes threads through the C
// library. The linker replaces these calls with the functions below (--wrap; see
// the Makefile, which also sets the build tag). They run in both Go processes of
// a run: the shim and libcontainer's process. Only speed depends on them.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arguments.h"
#include "platform.h"

// Go's heap grows in pieces of 4 MiB at fixed places (runtime.(*mheap).grow). A
// start needs at most two. Later pieces get no huge pages, because the runtime
// gives back single pages of them.
#define HEAP_PIECE (4UL << 20)
#define HUGE_PIECES 2

// huge_pieces is the number of further pieces of heap that get huge pages.
//
// The shim touches a few megabytes of heap, page by page, in its first
// milliseconds. In a virtual machine the first touch of each page costs one or
// two exits to the hypervisor, so the shim asks for huge pages. The kernel gives
// them if transparent_hugepage/enabled is "madvise" or "always". libcontainer's
// process doesn't ask: its memory counts towards the tool's limit.
static int huge_pieces;

void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *p = (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);

	if (p != MAP_FAILED && (flags & MAP_FIXED) && length >= HEAP_PIECE && prot == (PROT_READ | PROT_WRITE) &&
	    __atomic_fetch_sub(&huge_pieces, 1, __ATOMIC_RELAXED) > 0)
		madvise(p, length, MADV_HUGEPAGE);
	return p;
}

// The timer slack of the runtime's monitor and of all other threads, in
// nanoseconds: the kernel may prolong a sleep by it. KERNEL_SLACK is the
// kernel's default.
#define MONITOR_SLACK (10 * 1000 * 1000UL)
#define KERNEL_SLACK (50 * 1000UL)

// The size of a thread's stack in bytes. One page of the page table covers 2 MiB
// of addresses, so it covers the stacks of all threads if they are small; glibc's
// default of 8 MiB needs a page of the table for each thread.
//
// 256 KiB are enough. Goroutines have their own stacks, and the runtime's
// scheduler, which runs on this one, needs 16 KiB: that is all it has in a
// program without cgo (runtime.allocm). Signals have their own stack
// (runtime.mpreinit). These threads run no other C code: glibc's resolver and
// user database are not linked (tags netgo, osusergo), and nsenter and libseccomp
// run on the first thread, whose stack comes from the kernel (RLIMIT_STACK). The
// conformance suite of engines also passes with 64 KiB.
#define THREAD_STACK (256 * 1024)

__attribute__((constructor)) static void prepare_runtime(int argc, char **argv)
{
	pthread_attr_t attr;

	huge_pieces = mayfly_supervises(argc, argv) ? HUGE_PIECES : 0;
	if (pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, THREAD_STACK) == 0)
		pthread_setattr_default_np(&attr);
	// One arena for all threads: otherwise each makes its own, for the single allocation with which it starts the next thread.
	mallopt(M_ARENA_MAX, 1);
}

extern __typeof__(pthread_create) __real_pthread_create;

// The first thread that the runtime makes is its monitor (runtime.sysmon). While
// the program is busy the monitor sleeps 20 us at a time, which costs hundreds of
// exits to the hypervisor for each start of a sandbox. So the kernel may prolong
// the monitor's sleeps, but not those of other threads, for which threads wait. A
// thread inherits the slack of its creator, which may be the monitor, so the
// slack is set before each thread is made.
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *argument)
{
	static int threads;
	int result, first = __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED) == 0;
	unsigned long slack = first ? MONITOR_SLACK : KERNEL_SLACK, own = prctl(PR_GET_TIMERSLACK);

	if (own != slack)
		prctl(PR_SET_TIMERSLACK, slack);
	result = __real_pthread_create(thread, attr, run, argument);
	if (own != slack)
		prctl(PR_SET_TIMERSLACK, own);
	return result;
}
