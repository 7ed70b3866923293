/* The floor: the minimum that a server must do for a request. One epoll loop on one thread, keep-alive, no parsing: received bytes
 * are a request if they end with an empty line, and the answer is always the same bytes, prepared once and sent with one call.
 *
 * usage: floor PORT FILE
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(int ok, const char *what) {
  if (!ok) {
    perror(what);
    exit(1);
  }
}

int main(int argc, char **argv) {
  must(argc == 3, "usage: floor PORT FILE");
  FILE *file = fopen(argv[2], "rb");
  must(file != NULL, argv[2]);
  static char answer[1 << 20];
  must(fseek(file, 0, SEEK_END) == 0, "fseek");
  long length = ftell(file);
  rewind(file);
  int head = sprintf(answer, "HTTP/1.1 200 OK\r\ncontent-type: image/gif\r\ncontent-length: %ld\r\n\r\n", length);
  must(length > 0 && head + length < (long)sizeof answer, "the file is too long");
  must(fread(answer + head, 1, length, file) == (size_t)length, "fread");
  size_t total = head + length;

  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  must(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
  must(listen(listener, 1024) == 0, "listen");
  int loop = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[256];
  must(epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) == 0, "epoll_ctl");
  puts("ready");
  fflush(stdout);

  for (;;) {
    int count = epoll_wait(loop, ready, 256, -1);
    for (int i = 0; i < count; i++) {
      int fd = ready[i].data.fd;
      if (fd == listener) {
        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          event.events = EPOLLIN;
          event.data.fd = fd;
          epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
        }
        continue;
      }
      char request[16384];
      ssize_t got = recv(fd, request, sizeof request, 0);
      if (got == 0 || (got < 0 && errno != EAGAIN)) {
        close(fd);
      } else if (got >= 4 && memcmp(request + got - 4, "\r\n\r\n", 4) == 0 && send(fd, answer, total, MSG_NOSIGNAL) != (ssize_t)total) {
        close(fd); /* a client that does not read is no client of this one */
      }
    }
  }
}
