//go:build shim

// What Go's runtime asks of the C library, given in another way.
//
// In a program with cgo the runtime maps memory and makes threads through the C
// library. The linker puts the functions here in between (--wrap, see the
// Makefile, which sets the tag too), for both Go programs of a run: the shim and
// libcontainer's process. Nothing but speed depends on them.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// Go's heap grows in pieces of 4 MiB at fixed places (runtime.(*mheap).grow). A
// start needs two at most; of a heap that grew later, the runtime gives back single pages.
#define HEAP_PIECE (4UL << 20)
#define HUGE_PIECES 2

// The shim touches some megabytes of heap once, page by page, in its first
// milliseconds. In a virtual machine each first touch is an exit or two to the
// hypervisor. The kernel gives huge pages instead, where its administrator lets
// it (transparent_hugepage/enabled is "madvise" or "always"). libcontainer's
// process does without: its memory counts as the tool's.
static int huge_pieces;

void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *p = (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);

	if (p != MAP_FAILED && (flags & MAP_FIXED) && length >= HEAP_PIECE && prot == (PROT_READ | PROT_WRITE) &&
	    __atomic_fetch_sub(&huge_pieces, 1, __ATOMIC_RELAXED) > 0)
		madvise(p, length, MADV_HUGEPAGE);
	return p;
}

// By how much the kernel may prolong a sleep, in nanoseconds: the monitor's, and
// what a thread has if nobody changed it.
#define MONITOR_SLACK (10 * 1000 * 1000UL)
#define KERNEL_SLACK (50 * 1000UL)

// A small stack each puts those of all threads under one page of the page table;
// a thread of the runtime runs little C.
#define THREAD_STACK (256 * 1024)

__attribute__((constructor)) static void prepare_runtime(int argc, char **argv)
{
	pthread_attr_t attr;

	huge_pieces = argc > 1 && strcmp(argv[1], "supervise") == 0 ? HUGE_PIECES : 0;
	if (pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, THREAD_STACK) == 0)
		pthread_setattr_default_np(&attr);
	// Each thread would get an arena of its own for the one allocation that makes its successor.
	mallopt(M_ARENA_MAX, 1);
}

extern __typeof__(pthread_create) __real_pthread_create;

// The first thread that the runtime makes is its monitor (runtime.sysmon). While
// something happens it sleeps 20 us at a time, which is hundreds of exits for
// each start of a sandbox, so the kernel may let it sleep longer. Only it: others
// wait for the short sleeps of the rest. A thread takes its slack from the one
// that makes it, which may be the monitor.
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
