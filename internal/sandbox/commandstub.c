// A command that a test mocks (engine.Mocks). It is the shim's own program,
// mounted in the sandbox as /run/mayfly/commands/NAME. It passes its arguments and
// its standard input to the mocks, prints their answer, and exits with their
// status.
//
// It runs as a constructor, before the Go runtime, so that it needs one exec, no
// threads and little memory. It runs before the program's other constructors. It
// has no more rights than the tool's other processes, and the tool can do
// everything that it does.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define COMMANDS "/run/mayfly/commands/"
#define SOCKET "/run/mayfly/commands.sock"

// The status of a command whose mocks fail. Docker and podman use it for a
// container that could not be run.
#define BROKEN 125

#define END_OF_ARGUMENTS 0xffffffffu

enum { KIND_STDOUT = 1, KIND_STDERR = 2, KIND_EXIT = 3 };

static const char *name; // of the command

__attribute__((noreturn, format(printf, 1, 2))) static void broken(const char *format, ...)
{
	va_list args;

	dprintf(2, "%s: this command is mocked, and its mock failed: ", name);
	va_start(args, format);
	vdprintf(2, format, args);
	va_end(args);
	dprintf(2, "\n");
	_exit(BROKEN);
}

static void put_length(unsigned char *to, uint32_t length)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(length >> (24 - 8 * i));
}

static uint32_t get_length(const unsigned char *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

// sender has the data on its way to the mocks. It is sent in pieces: a length,
// and then as many bytes.
static struct sender {
	const unsigned char *piece;
	size_t left;                 // bytes left of the piece
	const unsigned char *next;   // the piece after it, the bytes of an argument
	size_t next_size;
	char **argument;             // the next one, or NULL
	int input;                   // standard input hasn't ended
	int terminal;                // standard input is a terminal, which may never end, and isn't read
	unsigned char length[4], data[4 + 32 * 1024];
} out;

// receiver has the frame that is being received from the mocks.
static struct receiver {
	unsigned char head[5];
	size_t have;   // received bytes of head
	uint32_t left; // bytes left of the frame
	unsigned char data[32 * 1024];
} in;

// argument begins to send an argument.
static void argument(const char *text)
{
	size_t size = strlen(text);

	put_length(out.length, (uint32_t)size);
	out.piece = out.length;
	out.left = sizeof(out.length);
	out.next = (const unsigned char *)text;
	out.next_size = size;
}

// advance continues with the next piece of the arguments, if the present piece has
// been sent.
static void advance(void)
{
	if (out.left > 0)
		return;
	if (out.next_size > 0) {
		out.piece = out.next;
		out.left = out.next_size;
		out.next_size = 0;
	} else if (out.argument && *out.argument) {
		argument(*out.argument++);
	} else if (out.argument) {
		out.argument = NULL;
		put_length(out.length, END_OF_ARGUMENTS);
		out.piece = out.length;
		out.left = sizeof(out.length);
	}
}

// read_input makes the next frame from standard input, which is readable.
static void read_input(void)
{
	ssize_t n = out.terminal ? 0 : read(0, out.data + 4, sizeof(out.data) - 4);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0)
		n = 0; // treat a closed or broken input as ended
	out.input = n > 0;
	put_length(out.data, (uint32_t)n);
	out.piece = out.data;
	out.left = 4 + (size_t)n;
}

// send_more sends as much as the socket takes. After an error it sends nothing
// more, but mocks that have stopped reading may still answer.
static void send_more(int fd)
{
	ssize_t n = send(fd, out.piece, out.left, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0) {
		out.piece += n;
		out.left -= (size_t)n;
	} else if (errno != EINTR && errno != EAGAIN) {
		out.left = out.next_size = 0;
		out.argument = NULL;
		out.input = 0;
	}
}

// print writes the mocks' output. If nobody reads it any longer it is dropped, and
// the exit status is still that of the mocks.
static void print(int fd, const unsigned char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		if (n >= 0) {
			data += n;
			size -= (size_t)n;
		} else if (errno == EAGAIN) {
			poll(&p, 1, -1);
		} else if (errno != EINTR) {
			return;
		}
	}
}

// receive handles data from the mocks. It doesn't return from an exit frame.
static void receive(int fd)
{
	size_t want = in.have < sizeof(in.head) ? sizeof(in.head) - in.have : in.left < sizeof(in.data) ? in.left : sizeof(in.data);
	unsigned char *to = in.have < sizeof(in.head) ? in.head + in.have : in.data;
	ssize_t n = recv(fd, to, want, MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0)
		broken("%s", strerror(errno));
	if (n == 0)
		broken("it ended without an exit status");
	if (in.have < sizeof(in.head)) {
		in.have += (size_t)n;
		if (in.have < sizeof(in.head))
			return;
		in.left = get_length(in.head + 1);
		if (in.head[0] < KIND_STDOUT || in.head[0] > KIND_EXIT)
			broken("it sent a frame of kind %d", in.head[0]);
		if (in.head[0] == KIND_EXIT && in.left != 1)
			broken("it sent an exit status of %u bytes", in.left);
	} else {
		in.left -= (uint32_t)n;
		if (in.head[0] == KIND_EXIT)
			_exit(in.data[0]);
		print(in.head[0], in.data, (size_t)n); // the kinds are the descriptors
	}
	if (in.left == 0)
		in.have = 0;
}

// connect_mocks returns a socket whose descriptor is not one of the standard
// streams, even if they are closed.
static int connect_mocks(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), above;

	if (fd >= 0 && fd < 3) {
		above = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		close(fd);
		fd = above;
	}
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		broken("connect to %s: %s", SOCKET, strerror(errno));
	return fd;
}

// mayfly_command has a priority, so that it runs before the constructors without one.
__attribute__((constructor(101))) static void mayfly_command(int argc, char **argv)
{
	static char self[sizeof(COMMANDS) + 256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int fd;

	if (n <= (ssize_t)strlen(COMMANDS) || strncmp(self, COMMANDS, strlen(COMMANDS)) != 0)
		return;
	self[n] = 0;
	name = self + strlen(COMMANDS);
	signal(SIGPIPE, SIG_IGN);
	fd = connect_mocks();
	argument(name);
	out.argument = argc > 0 ? argv + 1 : argv;
	out.input = 1;
	out.terminal = isatty(0);
	for (;;) {
		struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		int reads;

		advance();
		reads = out.left == 0 && out.input;
		if (reads && out.terminal) {
			read_input();
			continue;
		}
		if (out.left > 0)
			p[0].events |= POLLOUT;
		if (poll(p, reads ? 2 : 1, -1) < 0) {
			if (errno == EINTR)
				continue;
			broken("%s", strerror(errno));
		}
		if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
			receive(fd);
		if (p[0].revents & POLLOUT && out.left > 0)
			send_more(fd);
		if (reads && p[1].revents)
			read_input();
	}
}
