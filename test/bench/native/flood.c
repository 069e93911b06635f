// Floods a service with one message, measures the effect on another caller, and serves the floor to compare with.
// usage: flood SOCKET CONNECTIONS SECONDS FILE    sends the message in FILE back to back, reads and drops the replies;
//                                                 prints how many were sent, and how often the bus disconnected it
//        flood probe ADDRESS NAME SECONDS         pings; prints microseconds: median, 99th percentile, longest
//        flood serve ADDRESS NAME                 replies to every call without reading its body, until it is killed
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 256
#define MAX_PINGS 1000000

static void check(int r, const char *what) {
  if (r >= 0) return;
  fprintf(stderr, "%s: %s\n", what, strerror(-r));
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static char *message;
static size_t size;

struct sender {
  size_t sent;
  uint32_t serial;
};

/* Authentication, sent in one piece with Hello: the replies are not awaited. */
static void greet(int fd) {
  static const char hello[] =
      "l\1\0\1\0\0\0\0\1\0\0\0\x6e\0\0\0\1\1o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0"
      "\6\1s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\2\1s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0"
      "\3\1s\0\5\0\0\0Hello\0\0\0";
  char text[512], hex[32] = "", uid[16];

  snprintf(uid, sizeof uid, "%u", getuid());
  for (size_t i = 0; uid[i] != '\0'; i++) sprintf(hex + 2 * i, "%02x", uid[i]);
  int length = snprintf(text + 1, sizeof text - 1, "AUTH EXTERNAL %s\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", hex) + 1;
  text[0] = '\0';
  memcpy(text + length, hello, sizeof hello - 1);
  check(send(fd, text, (size_t)length + sizeof hello - 1, MSG_NOSIGNAL) < 0 ? -errno : 0, "greet");
}

static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  check(connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0, "connect");
  greet(fd);
  check(fcntl(fd, F_SETFL, O_NONBLOCK), "nonblock");
  return fd;
}

/* Messages differ in the serial only. False when the bus has disconnected us. */
static int send_some(int fd, struct sender *sender) {
  for (;;) {
    char start[16];
    if (sender->sent == 0) sender->serial++;
    memcpy(start, message, sizeof start);
    memcpy(start + 8, &sender->serial, 4);
    const char *from = sender->sent < sizeof start ? start : message;
    size_t end = sender->sent < sizeof start ? sizeof start : size;
    ssize_t sent = send(fd, from + sender->sent, end - sender->sent, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    sender->sent += (size_t)sent;
    if (sender->sent == size) sender->sent = 0;
  }
}

/* False when the bus has disconnected us. */
static int read_all(int fd) {
  static char dropped[1 << 16];
  ssize_t r;

  while ((r = recv(fd, dropped, sizeof dropped, 0)) > 0) continue;
  return r < 0 && errno == EAGAIN;
}

/* A connection that the bus closes is replaced: some buses disconnect clients that send too much. */
static void flood(const char *path, int connections, double seconds) {
  static struct pollfd fds[MAX_CONNECTIONS];
  static struct sender senders[MAX_CONNECTIONS];
  unsigned long messages = 0, disconnected = 0;

  for (int i = 0; i < connections; i++) fds[i] = (struct pollfd){.fd = connect_to(path), .events = POLLIN | POLLOUT};
  for (double end = now() + seconds; now() < end;) {
    poll(fds, (nfds_t)connections, 100);
    for (int i = 0; i < connections; i++) {
      int lives = 1;
      if (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) lives = read_all(fds[i].fd);
      if (lives && fds[i].revents & POLLOUT) lives = send_some(fds[i].fd, &senders[i]);
      if (lives) continue;
      close(fds[i].fd);
      messages += senders[i].serial;
      senders[i] = (struct sender){0};
      disconnected++;
      fds[i].fd = connect_to(path);
    }
  }
  for (int i = 0; i < connections; i++) messages += senders[i].serial;
  printf("%lu %lu\n", messages, disconnected);
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void probe(sd_bus *bus, const char *name, double seconds) {
  static double times[MAX_PINGS];
  size_t count = 0;

  for (double end = now() + seconds; now() < end && count < MAX_PINGS; usleep(2000)) {
    double start = now();
    // dbus-daemon refuses calls to a service that has 127 MiB to read: the caller tries again
    for (int r; (r = sd_bus_call_method(bus, name, "/", "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL)) < 0; usleep(1000))
      check(r == -ENOBUFS ? 0 : r, "ping");
    times[count++] = (now() - start) * 1e6;
  }
  qsort(times, count, sizeof *times, by_size);
  printf("%.0f %.0f %.0f\n", times[count / 2], times[count * 99 / 100], times[count - 1]);
}

static int reply_to(sd_bus_message *call, void *userdata, sd_bus_error *error) {
  (void)userdata;
  (void)error;
  return sd_bus_reply_method_return(call, NULL);
}

static void serve(sd_bus *bus, const char *name) {
  check(sd_bus_add_fallback(bus, NULL, "/", reply_to, NULL), "serve");
  check(sd_bus_request_name(bus, name, 0), "name");
  for (;;) {
    int r = sd_bus_process(bus, NULL);
    check(r, "process");
    if (r == 0) check(sd_bus_wait(bus, UINT64_MAX), "wait");
  }
}

static sd_bus *open_bus(const char *address) {
  sd_bus *bus;
  check(sd_bus_new(&bus), "bus");
  check(sd_bus_set_address(bus, address), "address");
  check(sd_bus_set_bus_client(bus, 1), "client");
  check(sd_bus_start(bus), "connect");
  return bus;
}

static void read_message(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) check(-errno, path);
  fseek(file, 0, SEEK_END);
  size = (size_t)ftell(file);
  rewind(file);
  message = malloc(size);
  if (fread(message, 1, size, file) != size) check(-EIO, path);
  fclose(file);
}

int main(int count, char **args) {
  if (count < 4) return 2;
  if (strcmp(args[1], "serve") == 0) serve(open_bus(args[2]), args[3]);
  if (count < 5) return 2;
  if (strcmp(args[1], "probe") == 0) {
    probe(open_bus(args[2]), args[3], atof(args[4]));
    return 0;
  }
  int connections = atoi(args[2]);
  if (connections > MAX_CONNECTIONS) return 2;
  read_message(args[4]);
  flood(args[1], connections, atof(args[3]));
  return 0;
}
