/*
 * Sends descriptors to a peer on a bus: COUNT method calls, each with one descriptor and each awaited,
 * and with every call a signal with one descriptor.
 *
 * usage: send-descriptors ADDRESS DESTINATION COUNT    prints how many of the calls were replied to
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define PATH "/org/iotedge/Echo1"
#define INTERFACE "org.iotedge.Echo1"

static int new_message(sd_bus *bus, const char *destination, int descriptor, bool call, sd_bus_message **message)
{
  int r = call ? sd_bus_message_new_method_call(bus, message, destination, PATH, INTERFACE, "Echo")
               : sd_bus_message_new_signal(bus, message, PATH, INTERFACE, "Happened");

  if (r >= 0 && !call) r = sd_bus_message_set_destination(*message, destination);
  return r < 0 ? r : sd_bus_message_append(*message, "h", descriptor);
}

/* Whether the peer, or the bus for it, replied: with an error, since Echo takes no descriptor. */
static bool send_both(sd_bus *bus, const char *destination, int descriptor)
{
  sd_bus_message *signal = NULL, *call = NULL;
  sd_bus_error error = SD_BUS_ERROR_NULL;
  int r = new_message(bus, destination, descriptor, false, &signal);
  bool replied;

  if (r >= 0) r = sd_bus_send(bus, signal, NULL);
  if (r >= 0) r = new_message(bus, destination, descriptor, true, &call);
  if (r >= 0) (void)sd_bus_call(bus, call, 0, &error, NULL);
  replied = error.name != NULL && strcmp(error.name, "org.freedesktop.DBus.Error.InvalidArgs") == 0;
  if (!replied) fprintf(stderr, "%s: %s\n", error.name == NULL ? strerror(-r) : error.name, error.message);
  sd_bus_error_free(&error);
  sd_bus_message_unref(signal);
  sd_bus_message_unref(call);
  return replied;
}

int main(int argc, char **argv)
{
  sd_bus *bus = NULL;
  int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC), replied = 0;

  if (argc != 4) return 2;
  if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, argv[1]) < 0 || sd_bus_set_bus_client(bus, 1) < 0 || sd_bus_start(bus) < 0)
    return 1;
  for (int left = atoi(argv[3]); left > 0; left--) {
    if (!send_both(bus, argv[2], descriptor)) break;
    replied++;
  }
  printf("%d\n", replied);
  sd_bus_flush_close_unref(bus);
  return 0;
}
