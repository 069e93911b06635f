// Measures calls per second of one method, and serves the floor to compare with.
// usage: client ADDRESS NAME PATH INTERFACE echo|sign KEY TOTAL IN_FLIGHT    prints calls per second
//        client ADDRESS NAME PATH INTERFACE serve                            echoes until it is killed
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

static sd_bus *bus;
static const char *name, *path, *interface, *key;
static int sign, sent, replied, total;
static const unsigned char data[32] = {1};

static void check(int r, const char *what) {
  if (r >= 0) return;
  fprintf(stderr, "%s: %s\n", what, strerror(-r));
  exit(1);
}

static void send_call(void);

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
  (void)userdata;
  (void)error;
  if (sd_bus_message_is_method_error(reply, NULL)) {
    fprintf(stderr, "%s\n", sd_bus_message_get_error(reply)->message);
    exit(1);
  }
  replied++;
  if (sent < total) send_call();
  return 0;
}

static void send_call(void) {
  sd_bus_message *call = NULL;
  check(sd_bus_message_new_method_call(bus, &call, name, path, interface, sign ? "Sign" : "Echo"), "call");
  if (sign) check(sd_bus_message_append(call, "ss", key, "ecdsa-sha256"), "arguments");
  check(sd_bus_message_append_array(call, 'y', data, sizeof data), "data");
  check(sign ? sd_bus_message_append(call, "a{sv}", 1, "prehashed", "b", 1)
             : sd_bus_message_append(call, "a{sv}", 0),
        "options");
  check(sd_bus_call_async(bus, NULL, call, on_reply, NULL, 30000000), "send");
  sd_bus_message_unref(call);
  sent++;
}

static int echo(sd_bus_message *call, void *userdata, sd_bus_error *error) {
  (void)userdata;
  (void)error;
  const void *bytes;
  size_t size;
  sd_bus_message *reply = NULL;
  check(sd_bus_message_read_array(call, 'y', &bytes, &size), "read");
  check(sd_bus_message_new_method_return(call, &reply), "reply");
  check(sd_bus_message_append_array(reply, 'y', bytes, size), "append");
  check(sd_bus_send(NULL, reply, NULL), "reply");
  sd_bus_message_unref(reply);
  return 1;
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Echo", "aya{sv}", "ay", echo, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static void process_until(int done) {
  while (done == 0 || replied < done) {
    int r = sd_bus_process(bus, NULL);
    check(r, "process");
    if (r == 0) check(sd_bus_wait(bus, UINT64_MAX), "wait");
  }
}

int main(int count, char **args) {
  if (count < 6) return 2;
  check(sd_bus_new(&bus), "bus");
  check(sd_bus_set_address(bus, args[1]), "address");
  check(sd_bus_set_bus_client(bus, 1), "client");
  check(sd_bus_start(bus), "connect");
  name = args[2];
  path = args[3];
  interface = args[4];
  if (strcmp(args[5], "serve") == 0) {
    check(sd_bus_add_object_vtable(bus, NULL, path, interface, vtable, NULL), "serve");
    check(sd_bus_request_name(bus, name, 0), "name");
    process_until(0);
  }
  if (count < 9) return 2;
  sign = strcmp(args[5], "sign") == 0;
  key = args[6];
  total = atoi(args[7]);
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = atoi(args[8]); i > 0; i--) send_call();
  process_until(total);
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%.0f\n", total / (end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9));
  return 0;
}
