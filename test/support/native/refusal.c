/*
 * Refuses calls while one connects to a bus that accepts connections and sends nothing, and another waits for that one.
 * Exits with 0 when both were refused, the next one too without connecting, and the same again after calls were allowed.
 *
 * usage: refusal SOCKET    (created here; the one of DBUS_SYSTEM_BUS_ADDRESS)
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "failing-call.h"
#include "keys-client.h"

static int listen_on(const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int bus = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (bind(bus, (struct sockaddr *)&address, sizeof address) < 0 || listen(bus, 8) < 0) return -1;
  return bus;
}

static bool is_refused(void)
{
  return call_fails_with(strerror(ECANCELED));
}

static void *call(void *refused)
{
  *(bool *)refused = is_refused();
  return NULL;
}

static bool refuse_while_connecting(int bus)
{
  bool refused[2] = { false, false };
  pthread_t threads[2];
  int connected;

  for (int i = 0; i < 2; i++)
    if (pthread_create(&threads[i], NULL, call, &refused[i]) != 0) return false;
  connected = accept(bus, NULL, NULL);
  keys_client_refuse(true);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  close(connected);
  return connected >= 0 && refused[0] && refused[1];
}

static bool refuse_without_connecting(int bus)
{
  struct pollfd connecting = { .fd = bus, .events = POLLIN };

  return is_refused() && poll(&connecting, 1, 0) == 0;
}

int main(int argc, char **argv)
{
  int bus = argc == 2 ? listen_on(argv[1]) : -1;
  bool done;

  if (bus < 0) return 2;
  done = refuse_while_connecting(bus) && refuse_without_connecting(bus);
  keys_client_refuse(false);
  done = done && refuse_while_connecting(bus);
  close(bus);
  return done ? 0 : 1;
}
