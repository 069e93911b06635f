// Measures calls per second of one method, and serves the floor to compare with.
// usage: client ADDRESS NAME PATH INTERFACE echo TOTAL IN_FLIGHT
//        client ADDRESS NAME PATH INTERFACE sign TOTAL IN_FLIGHT KEY MECHANISM
//            prints calls per second, and microseconds until the reply: median, 99th percentile
//        client ADDRESS NAME PATH INTERFACE serve    echoes until it is killed
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

static sd_bus *bus;
static const char *name, *path, *interface, *key, *mechanism;
static int sent, replied, total;
/* When each call was sent, and then how long it took, in microseconds. */
static double *times;
static const unsigned char data[32] = {1};

static void check(int r, const char *what) {
  if (r >= 0) return;
  fprintf(stderr, "%s: %s\n", what, strerror(-r));
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void send_call(void);

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
  double *time = userdata;
  (void)error;
  *time = now() - *time;
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
  const char *method = key == NULL ? "Echo" : "Sign";
  check(sd_bus_message_new_method_call(bus, &call, name, path, interface, method), "call");
  if (key != NULL) check(sd_bus_message_append(call, "ss", key, mechanism), "arguments");
  check(sd_bus_message_append_array(call, 'y', data, sizeof data), "data");
  int prehashed = key != NULL && strncmp(mechanism, "hmac", 4) != 0;
  check(prehashed ? sd_bus_message_append(call, "a{sv}", 1, "prehashed", "b", 1)
                  : sd_bus_message_append(call, "a{sv}", 0),
        "options");
  times[sent] = now();
  check(sd_bus_call_async(bus, NULL, call, on_reply, &times[sent], 30000000), "send");
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

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(int in_flight) {
  times = calloc((size_t)total, sizeof *times);
  double begin = now();
  while (in_flight-- > 0) send_call();
  process_until(total);
  double seconds = (now() - begin) / 1e6;
  qsort(times, (size_t)total, sizeof *times, by_size);
  printf("%.0f %.1f %.1f\n", total / seconds, times[total / 2], times[total * 99 / 100]);
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
  int sign = strcmp(args[5], "sign") == 0;
  if (count < (sign ? 10 : 8)) return 2;
  total = atoi(args[6]);
  if (sign) {
    key = args[8];
    mechanism = args[9];
  }
  measure(atoi(args[7]));
  return 0;
}
