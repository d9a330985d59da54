// Does the features that its arguments name, with sockets only, and prints each outcome. It is linked statically.
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static char answer[1 << 16];

static int dial(const char *host, const char *port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found, *a;
  int fd = -1, error = getaddrinfo(host, port, &hints, &found);
  if (error) {
    fprintf(stderr, "%s: %s\n", host, gai_strerror(error));
    return -1;
  }
  for (a = found; a && fd < 0; a = a->ai_next) {
    fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
      close(fd);
      fd = -1;
    }
  }
  freeaddrinfo(found);
  return fd;
}

static const char *failed(void) {
  switch (errno) {
  case ECONNRESET: return "reset";
  case ECONNREFUSED: return "refused";
  case EAGAIN: return "timed out";
  }
  return strerror(errno);
}

// Sends a request and reads one answer, whose length is its Content-Length. Returns "CODE BODY", or what failed.
static const char *ask(int fd, const char *method, const char *host, const char *path, const char *more) {
  char request[1024], *end, *length;
  int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, path, host, *more ? more : "\r\n");
  size_t have = 0, whole = 0;
  if (write(fd, request, n) != n)
    return failed();
  for (;;) {
    ssize_t got = read(fd, answer + have, sizeof answer - 1 - have);
    if (got < 0)
      return failed();
    if (got == 0)
      return "ended";
    have += got;
    answer[have] = 0;
    if (!(end = strstr(answer, "\r\n\r\n")))
      continue;
    length = strcasestr(answer, "content-length: ");
    whole = end + 4 - answer;
    if (length && strcmp(method, "HEAD"))
      whole += atoi(length + 16);
    if (have >= whole)
      break;
  }
  static char out[1024];
  snprintf(out, sizeof out, "%.3s %s", answer + 9, end + 4);
  if (out[3] == ' ' && !out[4])
    out[3] = 0;
  return out;
}

static const char *get(const char *host, const char *port, const char *path) {
  int fd = dial(host, port);
  if (fd < 0)
    return failed();
  const char *out = ask(fd, "GET", host, path, "");
  close(fd);
  return out;
}

static const char *thrice(const char *host, const char *path, int one) {
  static char out[64];
  int fd = -1;
  *out = 0;
  for (int i = 0; i < 3; i++) {
    if (fd < 0)
      fd = dial(host, "80");
    strncat(out, ask(fd, "GET", host, path, ""), 3);
    if (i < 2)
      strcat(out, " ");
    if (!one)
      close(fd), fd = -1;
  }
  if (fd >= 0)
    close(fd);
  return out;
}

static const char *feature(const char *name) {
#define IS(text) (strcmp(name, text) == 0)
  static char out[64];
  int fd;
  if (IS("http-name")) return get("no.such.example", "80", "/hello");
  if (IS("localhost")) return get("localhost", "8080", "/hello");
  if (IS("127.0.0.1")) return get("127.0.0.1", "8081", "/hello");
  if (IS("::1")) return get("::1", "8082", "/hello");
  if (IS("ipv4")) return get("93.184.216.34", "80", "/hello");
  if (IS("ipv6")) return get("2001:db8::1", "80", "/hello");
  if (IS("keep-alive")) return thrice("keep.example", "/hello", 1);
  if (IS("sequence")) return thrice("api.example", "/sequence", 0);
  if (IS("no-content")) return get("api.example", "80", "/none");
  if (IS("delay")) return get("api.example", "80", "/late");
  if (IS("reset")) return get("api.example", "80", "/reset");
  if (IS("unmatched")) return get("no.such.example", "80", "/hallo");
  if (IS("denied")) return get("denied.example", "80", "/hello");
  if (IS("other-port")) return get("127.0.0.1", "9001", "/hello");
  if (IS("head")) return ask(dial("api.example", "80"), "HEAD", "api.example", "/hello", "");
  if (IS("chunked"))
    return ask(dial("api.example", "80"), "POST", "api.example", "/chunked",
               "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"chun\r\nc\r\nked\": true }\r\n0\r\n\r\n");
  if (IS("never")) {
    struct timeval second = {.tv_sec = 1};
    fd = dial("api.example", "80");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    return ask(fd, "GET", "api.example", "/never", "");
  }
  if (IS("parallel")) {
    int good = 0, status;
    for (int i = 0; i < 50; i++)
      if (fork() == 0)
        _exit(strcmp(get("together.example", "80", "/together"), "200 together") != 0);
    while (wait(&status) > 0)
      good += status == 0;
    snprintf(out, sizeof out, "%d", good);
    return out;
  }
  if (IS("own-server")) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9000), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int l = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(l, (void *)&at, sizeof at) || listen(l, 8))
      return failed();
    if (fork() == 0) {
      char ignored[1024];
      static const char own[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown";
      fd = accept(l, NULL, NULL);
      if (read(fd, ignored, sizeof ignored) > 0 && write(fd, own, sizeof own - 1) > 0)
        close(fd);
      _exit(0);
    }
    const char *said = get("127.0.0.1", "9000", "/own.txt");
    close(l);
    return said;
  }
  return "unknown";
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    printf("%s\t%s\n", argv[i], feature(argv[i]));
    fflush(stdout);
  }
  return 0;
}
