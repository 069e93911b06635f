/*
 * Loses the bus between two calls. Where sd-bus closes the descriptor of the lost connection, a socket of this program
 * takes its number, calls are refused, and the process is forked: exits with 0 when that socket survived both, the second
 * call was replied to on a new connection, and a child forked between the calls had no copy of the first connection.
 * Linked with --wrap=sd_bus_process.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "failing-call.h"
#include "keys-client.h"

static int bus_fd = -1;
static bool was_closed, was_harmed;

static bool is_open(int fd)
{
  return fcntl(fd, F_GETFD) >= 0;
}

static bool is_open_in_child(int fd)
{
  int status = 0;
  pid_t child = fork();

  if (child == 0) _exit(is_open(fd) ? 0 : 1);
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool comes_through(int number)
{
  int pair[2];
  bool done;

  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return false;
  /* the lowest free number may be the wanted one */
  if (pair[0] != number && dup2(pair[0], number) < 0) return false;
  keys_client_refuse(true);
  keys_client_refuse(false);
  done = is_open_in_child(number) && send(number, "x", 1, MSG_NOSIGNAL) == 1;
  if (pair[0] != number) close(pair[0]);
  close(number);
  close(pair[1]);
  return done;
}

int __real_sd_bus_process(sd_bus *bus, sd_bus_message **message);
int __wrap_sd_bus_process(sd_bus *bus, sd_bus_message **message);

int __wrap_sd_bus_process(sd_bus *bus, sd_bus_message **message)
{
  int before = sd_bus_get_fd(bus), r = __real_sd_bus_process(bus, message);

  bus_fd = before;
  if (before >= 0 && !is_open(before)) {
    was_closed = true;
    if (!comes_through(before)) was_harmed = true;
  }
  return r;
}

static bool has_reply(void)
{
  return call_fails_with("ServiceUnknown"); /* by the bus, which has no Keys service */
}

int main(void)
{
  bool replied = has_reply(), inherited;

  inherited = is_open_in_child(bus_fd);
  shutdown(bus_fd, SHUT_RDWR); /* what the end of the bus looks like from here */
  replied = has_reply() && replied;
  keys_client_close();
  fprintf(stderr, "replied %d, inherited %d, closed %d, harmed %d\n", replied, inherited, was_closed, was_harmed);
  return replied && !inherited && was_closed && !was_harmed ? 0 : 1;
}
