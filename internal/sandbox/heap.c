// Huge pages for the Go heaps of the shim and of libcontainer's process.
//
// Both live on a heap of some megabytes that is touched once, page by page, in
// the first milliseconds of a run. In a virtual machine each first touch is an
// exit or two to the hypervisor: 1,000 of them were a third of a run's time. The
// kernel gives a huge page instead, where its administrator lets it
// (transparent_hugepage/enabled is "madvise" or "always").
//
// Go's runtime maps its heap through the C library in programs with cgo, in
// pieces of 4 MiB at fixed places; the linker puts this function in the place of
// mmap (--wrap, see the Makefile). Everything else passes through.
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HEAP_PIECE (4UL << 20)

void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *p = (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);

	// What can't be advised is left: nothing but speed depends on it.
	if (p != MAP_FAILED && (flags & MAP_FIXED) && length >= HEAP_PIECE && prot == (PROT_READ | PROT_WRITE))
		madvise(p, length, MADV_HUGEPAGE);
	return p;
}
