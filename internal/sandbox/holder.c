// What mayfly-shim does before the Go runtime starts. Most of it is about the
// namespace holder: the sandbox's first process.
//
// The holder is process 1 of the sandbox's pid namespace, and keeps its user and
// network namespaces, which the tool joins. It only waits, so that
//   - one SIGKILL to it ends every process of the sandbox, whatever they do (a
//     tool that forks without end, or has cleared its parent-death signal, can't
//     outrun it: pid_namespaces(7));
//   - the tool is not process 1, so SIGTERM has its usual effect on it and
//     orphans are reaped.
//
// The shim forks it in a constructor: the Go runtime hasn't started and nothing
// has been read, so there is little memory to share, and no secret in it. Then
// both start at the same time:
//
//	shim                               holder
//	 |---- clone(user, net, pid) ------->|  waits at the leash
//	 |---- uid_map, gid_map; a byte ---->|  becomes root of its namespaces
//	 |  the Go runtime starts            |  protects itself
//	 |<--- errno on ready: 0, in force --|
//	 |  …                                |  waits at the leash until the end
//	 |---- end of the leash, or SIGKILL->|
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arguments.h"
#include "holder.h"
#include "platform.h"

// The first id of an ordinary user's runs. The user is id 0 of the user namespace around them (oci/ids.go). These runs share
// their ids, and the kernel counts what they take for that user.
#define SHARED_IDS 1

// The kernel's default timer slack, in nanoseconds.
#define KERNEL_SLACK (50 * 1000UL)

// run_map runs newuidmap or newgidmap for a process. It returns 0, or -1 if that fails.
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
// executes mayfly in it: an ordinary user's mayfly starts this way. Only a
// process with one thread can do this, so it is not in Go. Its arguments are
//
//	N newuidmap-arguments… N newgidmap-arguments… PROGRAM ARGV0 ARGS…
//
// where each list of N begins with the path of the program, and has "PID" in
// place of this process's id. The maps are written from outside the namespace
// (newuidmap(1)), by a child that is made before it.
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
	// The namespace's root has none of the host's groups.
	if (setgid(0) != 0 || setuid(0) != 0 || setgroups(0, NULL) != 0) {
		perror("mayfly: become root of the user namespace");
		_exit(125);
	}
	execv(argv[rest], argv + rest + 1);
	perror("mayfly: start in the user namespace");
	_exit(125);
}

// limit_in_userns sets a limit of this user namespace; without it only the creator's limit applies. A kernel without the file
// has no such limit. It returns 0, or -1 with errno.
static int limit_in_userns(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC), failed;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	failed = write(fd, value, strlen(value)) < 0;
	close(fd);
	return failed ? -1 : 0;
}

// wait_and_exec executes another program once a byte arrives on descriptor 3: by
// then the process is in its cgroup, so everything that the program starts is
// too.
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
	execv(argv[0], argv);
	_exit(127);
}

struct mayfly_holder mayfly_holder;

// name_holder gives the holder its own name and command line, instead of the shim's path on the host.
static void name_holder(int argc, char **argv)
{
	static const char name[] = "mayfly-init";
	char *end = argv[argc - 1] + strlen(argv[argc - 1]);

	memset(argv[0], 0, end - argv[0]);
	memcpy(argv[0], name, sizeof(name)); // the arguments, MAYFLY_SUPERVISE among them, are longer
	prctl(PR_SET_NAME, name);
}

// tell sends the shim 0 when the holder is in force, or the errno of what failed.
static void tell(int error)
{
	if (write(1, &error, sizeof(error)) != sizeof(error) || error != 0)
		_exit(1);
}

// hold runs the holder; it doesn't return.
static void hold(int argc, char **argv, int leash, int ready)
{
	char byte;
	ssize_t n;

	// Set the parent-death signal here too: the change of user below clears it. Becoming the owner made the process not
	// dumpable, so that its files in /proc belong to root (proc(5)).
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_DUMPABLE, 1) != 0)
		_exit(1);
	// Close everything that it inherited from the shim: the tool's streams, and the locks on the run's ids and directory.
	if (dup2(leash, 0) < 0 || dup2(ready, 1) < 0 || syscall(SYS_close_range, 2, ~0U, 0) != 0)
		_exit(1);
	do
		n = read(0, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1) // the shim couldn't set the maps
		_exit(1);
	if (setgroups(0, NULL) != 0 || setgid(0) != 0 || setuid(0) != 0 || setsid() < 0)
		tell(errno);
	if (limit_in_userns("/proc/sys/user/max_inotify_instances", "32") != 0 ||
	    limit_in_userns("/proc/sys/user/max_inotify_watches", "16384") != 0)
		tell(errno);
	// An empty folder becomes its root: every process may read /proc/1/mountinfo, which lists the mounts below the root.
	if (chroot("/proc/self/fdinfo") != 0 || chdir("/") != 0)
		tell(errno);
	// Descriptor 0 is the read end of a pipe, and only the shim has the write
	// end: the end of file means that the shim is gone. The parent-death
	// signal says the same, and sooner.
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		tell(errno);
	// No process of the sandbox may look into this process or its program
	// through /proc/1 (ptrace(2), "access mode checking").
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		tell(errno);
	name_holder(argc, argv);
	// The kernel reaps the orphans of a process that ignores SIGCHLD.
	signal(SIGCHLD, SIG_IGN);
	tell(0);
	close(1);
	for (;;) {
		n = read(0, &byte, 1);
		if (n == 0 || (n < 0 && errno != EINTR))
			_exit(0);
	}
}

// write_map sets one of the holder's maps: ids 0, 1, … of the sandbox are the count ids of the host from first on. It returns
// 0, or -1 with errno.
static int write_map(const char *name, const char *first, const char *count)
{
	char path[64];
	int fd, failed;

	snprintf(path, sizeof(path), "/proc/%d/%s", mayfly_holder.pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	failed = dprintf(fd, "0 %s %s\n", first, count) < 0;
	close(fd);
	return failed ? -1 : 0;
}

// holder_failed records errno and the step that failed.
static void holder_failed(const char *doing)
{
	mayfly_holder.error = errno;
	mayfly_holder.doing = doing;
}

// owner is the user that makes the run's namespaces. The kernel counts some resources (such as queued signals) for each user
// of a namespace, and again for the owner of the namespace (user_namespaces(7), getrlimit(2)). If the owner were the host's
// root, all runs would share root's limits, and a tool that changes its user would have no limit of its own. So the owner is
// the run's own first id, and the owner's limits are the limits of the run as a whole.
//
// The creator of a user namespace has all capabilities in it. If the run's first id is the creator, the host's root has only
// its own capabilities in the namespace. So a shim that lacks a capability that it needs there (ownerCapabilities in
// oci/capabilities.go) makes the namespaces as root, and doctor reports it.
struct owner {
	uid_t id; // 0 for root
	struct rlimit signals, locked;
	struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];
};

static struct __user_cap_header_struct cap_header(void)
{
	return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
}

// lower_limit lowers the soft limit of a resource and stores the former limits in was. It returns 0, or -1 with errno.
static int lower_limit(int resource, struct rlimit *was, rlim_t to)
{
	struct rlimit now;

	if (getrlimit(resource, was) != 0)
		return -1;
	now = *was;
	if (now.rlim_cur > to)
		now.rlim_cur = to;
	return setrlimit(resource, &now);
}

// set_user changes the effective user and restores the capabilities, which the change clears or sets (capabilities(7)).
static int set_user(struct owner *o, uid_t id)
{
	struct __user_cap_header_struct header = cap_header();

	return setresuid(-1, id, -1) != 0 || syscall(SYS_capset, &header, o->capabilities) != 0 ? -1 : 0;
}

// become_owner changes to the user that owns the namespaces, with the run's limits, until end_owner.
static int become_owner(struct owner *o, uid_t first)
{
	struct __user_cap_header_struct header = cap_header();
	const __u32 needed = 1U << CAP_KILL | 1U << CAP_NET_ADMIN;

	if (first == SHARED_IDS)
		return 0;
	if (syscall(SYS_capget, &header, o->capabilities) != 0)
		return -1;
	if ((o->capabilities[0].effective & needed) != needed)
		return 0;
	if (lower_limit(RLIMIT_SIGPENDING, &o->signals, MAYFLY_RUN_SIGNALS) != 0 || lower_limit(RLIMIT_MEMLOCK, &o->locked, MAYFLY_RUN_LOCKED) != 0)
		return -1;
	o->id = first;
	return set_user(o, first);
}

// end_owner changes back to root and restores the limits.
static int end_owner(struct owner *o)
{
	if (o->id == 0)
		return 0;
	// The change of user made the shim not dumpable, and so took its own files in /proc from it (PR_SET_DUMPABLE, prctl(2)).
	if (set_user(o, 0) != 0 || prctl(PR_SET_DUMPABLE, 1) != 0)
		return -1;
	return setrlimit(RLIMIT_SIGPENDING, &o->signals) != 0 || setrlimit(RLIMIT_MEMLOCK, &o->locked) != 0 ? -1 : 0;
}

// start_holder is the shim's part. It reports errors in mayfly_holder, because nobody reads the shim's reports yet.
static void start_holder(int argc, char **argv)
{
	int leash[2], ready[2];
	struct owner owner = {.id = 0};

	if (pipe2(leash, O_CLOEXEC) != 0 || pipe2(ready, O_CLOEXEC) != 0) {
		holder_failed("make its pipes");
		return;
	}
	mayfly_holder.leash = leash[1];
	mayfly_holder.ready = ready[0];
	if (become_owner(&owner, strtoul(argv[MAYFLY_ARG_FIRST_ID], NULL, 10)) != 0) {
		holder_failed("become the owner of its namespaces");
		return;
	}
	// glibc has no wrapper that forks into namespaces. A wrapper would also correct glibc's copy of the thread's id in the
	// child, which the holder doesn't use.
	mayfly_holder.pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (mayfly_holder.pid == 0)
		hold(argc, argv, leash[0], ready[1]);
	if (mayfly_holder.pid < 0) {
		holder_failed("make its first process");
		return;
	}
	close(ready[1]);
	if (end_owner(&owner) != 0)
		holder_failed("be root again");
	else if (write_map("uid_map", argv[MAYFLY_ARG_FIRST_ID], argv[MAYFLY_ARG_ID_COUNT]) != 0 ||
		 write_map("gid_map", argv[MAYFLY_ARG_FIRST_ID], argv[MAYFLY_ARG_ID_COUNT]) != 0)
		holder_failed("set its ids");
	else if (write(leash[1], "1", 1) != 1)
		holder_failed("start its first process");
	close(leash[0]); // after the write: if the holder has ended, a pipe without readers would raise SIGPIPE
}

// stay_here keeps the shim, and everything that it starts, on its present processor. If there are as many starts at the same
// time as processors, a start that spreads over several processors only waits for the others. cpu.go ends this.
static void stay_here(void)
{
	int cpu = sched_getcpu();
	cpu_set_t here;

	CPU_ZERO(&here);
	if (cpu >= 0 && cpu < CPU_SETSIZE) {
		CPU_SET(cpu, &here);
		sched_setaffinity(0, sizeof(here), &here); // if it fails, the start is only slower
	}
}

__attribute__((constructor)) static void mayfly_before_go(int argc, char **argv)
{
	if (mayfly_supervises(argc, argv)) {
		// The run's own ids use the shim's files too, so their modes must not depend on the umask of the user who started
		// mayfly. The shim makes no files for that user.
		umask(022);
		// mayfly's threads may have another slack (oci/sysmon.go), and the tool inherits this one.
		if (prctl(PR_SET_TIMERSLACK, KERNEL_SLACK) != 0)
			_exit(1);
		start_holder(argc, argv);
		if (strcmp(argv[MAYFLY_ARG_PLACE], MAYFLY_HERE) == 0)
			stay_here();
	}
	if (argc >= 1 && strcmp(argv[0], "mayfly-userns") == 0)
		enter_userns(argc, argv);
	if (argc >= 2 && strcmp(argv[0], "mayfly-wait") == 0)
		wait_and_exec(argv + 1);
}
