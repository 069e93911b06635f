/*
 * Receives one datagram on a unix socket and writes it to standard output; an attached descriptor is read
 * instead, when it is sealed against changes. The first line states which of them it was.
 *
 * usage: receiver ADDRESS    (an abstract one begins with `@`)
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int listen_on(const char *text)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  size_t length = strlen(text);
  int sock = socket(AF_UNIX, SOCK_DGRAM, 0);

  if (length >= sizeof address.sun_path) return -1;
  memcpy(address.sun_path, text, length);
  if (text[0] == '@') address.sun_path[0] = '\0';
  length += offsetof(struct sockaddr_un, sun_path) + (text[0] != '@');
  return bind(sock, (struct sockaddr *)&address, (socklen_t)length) == 0 ? sock : -1;
}

static void copy(int from)
{
  char buffer[4096];
  ssize_t got;

  lseek(from, 0, SEEK_SET);
  while ((got = read(from, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, (size_t)got, stdout);
}

int main(int argc, char **argv)
{
  static char data[1 << 20];
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = { data, sizeof data };
  struct msghdr message = {
    .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
  struct cmsghdr *header;
  ssize_t got;
  int sock = argc == 2 ? listen_on(argv[1]) : -1, fd, seals;

  if (sock < 0) return 2;
  fprintf(stderr, "ready\n");
  got = recvmsg(sock, &message, 0);
  if (got < 0) return 1;
  header = CMSG_FIRSTHDR(&message);
  if (header == NULL) {
    printf("datagram\n");
    fwrite(data, 1, (size_t)got, stdout);
    return 0;
  }
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  seals = fcntl(fd, F_GET_SEALS);
  printf("%s\n", seals > 0 && (seals & ALL_SEALS) == ALL_SEALS ? "sealed" : "open");
  copy(fd);
  return 0;
}
