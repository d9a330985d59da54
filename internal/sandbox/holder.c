// The namespace holder: the sandbox's first process.
//
// It is process 1 of the sandbox's pid namespace and the owner of its user and
// network namespaces, which the tool joins. It does nothing but live, so that
//   - one SIGKILL to it ends every process of the sandbox at once, whatever
//     they do (a tool that forks without end, or that gave up its parent-death
//     signal, can't outrun it: pid_namespaces(7));
//   - the tool is not process 1, so SIGTERM has its usual effect on it and
//     orphans are reaped.
//
// It runs as a constructor, before the Go runtime, so that it costs one exec
// and no threads. It holds no secret: it is executed, not forked, by the shim.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// What a process has if nobody changed it, in nanoseconds.
#define KERNEL_TIMER_SLACK (50 * 1000UL)

// run_map runs newuidmap or newgidmap for a process.
static int run_map(char **argv, int n, pid_t pid)
{
	char number[16], *args[16];
	pid_t child;
	int status;

	if (n < 2 || n > 15)
		return -1;
	snprintf(number, sizeof(number), "%d", (int)pid);
	for (int i = 0; i < n; i++)
		args[i] = strcmp(argv[i], "PID") == 0 ? number : argv[i];
	args[n] = NULL;
	child = fork();
	if (child == 0) {
		execv(args[0], args);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

// enter_userns makes a user namespace with the caller's subordinate ids and
// becomes mayfly in it: how an ordinary user's mayfly starts. Only a process
// with one thread can do this, so it is here and not in Go. Its arguments are
//
//	N newuidmap-arguments… N newgidmap-arguments… PROGRAM ARGV0 ARGS…
//
// where each list of N begins with the path of the program and has "PID" where
// this process's number goes. The maps are written from outside (newuidmap(1)),
// by a child that was made before the namespace.
static void enter_userns(int argc, char **argv)
{
	int ready[2], first, second, rest, status;
	pid_t helper, self = getpid();
	char byte;

	first = argc > 1 ? atoi(argv[1]) : 0;
	second = first > 0 && argc > 2 + first ? atoi(argv[2 + first]) : 0;
	rest = 3 + first + second;
	if (first <= 0 || second <= 0 || argc < rest + 2)
		_exit(125);
	if (pipe(ready) != 0)
		_exit(125);
	helper = fork();
	if (helper < 0)
		_exit(125);
	if (helper == 0) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			_exit(1);
		_exit(run_map(argv + 2, first, self) || run_map(argv + 3 + first, second, self) ? 1 : 0);
	}
	if (unshare(CLONE_NEWUSER) != 0) {
		perror("mayfly: make a user namespace");
		_exit(125);
	}
	if (write(ready[1], "1", 1) != 1 || waitpid(helper, &status, 0) != helper || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "mayfly: the user namespace's ids could not be set; see 'mayfly doctor'\n");
		_exit(125);
	}
	close(ready[0]);
	close(ready[1]);
	// The namespace's root has no groups of the host's.
	if (setgid(0) != 0 || setuid(0) != 0 || setgroups(0, NULL) != 0) {
		perror("mayfly: become root of the user namespace");
		_exit(125);
	}
	execv(argv[rest], argv + rest + 1);
	perror("mayfly: start in the user namespace");
	_exit(125);
}

// limit_in_userns sets a limit of this user namespace, which else shares its creator's: root's of the host. A kernel
// without it has nothing to share.
static int limit_in_userns(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC), failed;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	failed = write(fd, value, strlen(value)) < 0;
	close(fd);
	return failed ? -1 : 0;
}

// wait_and_exec becomes another program once a byte comes on descriptor 3: by
// then the process is in its cgroup, and so is all that the program starts.
static void wait_and_exec(char **argv)
{
	char byte;
	ssize_t n;
	do
		n = read(3, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(1);
	close(3);
	if (prctl(PR_SET_TIMERSLACK, KERNEL_TIMER_SLACK) != 0)
		_exit(1);
	execv(argv[0], argv);
	_exit(127);
}

// The Go runtime has a thread that sleeps 20 us at a time for as long as something happens (runtime.sysmon), which in a
// virtual machine is hundreds of exits for each start of a sandbox. The kernel may let each thread of the shim
// sleep up to this longer, so that it wakes less often. It is set before the runtime begins, since a thread takes it from
// the one that made it and a program keeps it (PR_SET_TIMERSLACK(2const)): whatever starts a program of the tool's sets
// the kernel's own value again.
#define SHIM_TIMER_SLACK (5 * 1000 * 1000UL)

__attribute__((constructor)) static void mayfly_hold(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "supervise") == 0 && prctl(PR_SET_TIMERSLACK, SHIM_TIMER_SLACK) != 0)
		_exit(1);
	if (argc >= 1 && strcmp(argv[0], "mayfly-userns") == 0)
		enter_userns(argc, argv);
	if (argc >= 2 && strcmp(argv[0], "mayfly-wait") == 0)
		wait_and_exec(argv + 1);
	if (argc < 1 || strcmp(argv[0], "mayfly-init") != 0)
		return;
	if (limit_in_userns("/proc/sys/user/max_inotify_instances", "32") != 0 ||
	    limit_in_userns("/proc/sys/user/max_inotify_watches", "16384") != 0) {
		perror("mayfly: limit the sandbox's inotify");
		_exit(1);
	}
	// Descriptor 0 is the read end of a pipe whose write end only the shim
	// has: its end of file means that the shim is gone. The parent-death
	// signal says the same, sooner.
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		_exit(1);
	// No process of the sandbox may look into this one, or at the program
	// that it runs, through /proc/1 (ptrace(2), "access mode checking").
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		_exit(1);
	// Ignored, so that the kernel reaps the orphans.
	signal(SIGCHLD, SIG_IGN);
	char byte;
	// Tells the shim that all of the above is in force.
	if (write(1, "1", 1) != 1)
		_exit(1);
	close(1);
	for (;;) {
		ssize_t n = read(0, &byte, 1);
		if (n == 0 || (n < 0 && errno != EINTR))
			_exit(0);
	}
}
