/*
 * One bus connection per process, guarded by one lock. One deadline covers a whole call, including the wait for the
 * lock and the connection. Refusing calls shuts the connection down, so that a call in progress fails at once. Nothing
 * is sent twice: a connection that was lost while idle is detected before it is used.
 */
#include "keys-client.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define KEYS_NAME "org.iotedge.Keys1"
#define KEYS_PATH "/org/iotedge/Keys1"
#define SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"
#define SPKI_DIGEST_SIZE 32
#define UNREAD_MAX 256
#ifndef KEYS_DEADLINE_MS
#define KEYS_DEADLINE_MS 30000
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sd_bus *connection; /* guarded by `lock` */
/* Never held across a blocking call, so that keys_client_refuse can interrupt the holder of `lock`. */
static pthread_mutex_t fd_lock = PTHREAD_MUTEX_INITIALIZER;
/*
 * The descriptor of `connection` while it is idle or polled, else negative: inside sd-bus it may be closed at any
 * moment, and its number reused. Guarded by `fd_lock`.
 */
static int shutdown_fd = -1;
static bool refusing; /* guarded by `fd_lock` */
static _Thread_local enum failure_kind last_kind;

static void lock_fd(void)
{
  pthread_mutex_lock(&fd_lock);
}

static void unlock_fd(void)
{
  pthread_mutex_unlock(&fd_lock);
}

/*
 * In a forked child the connection belongs to the parent, and another thread may have held the lock: starts afresh, and
 * closes only the inherited descriptor. `fd_lock` is held across the fork, so that its number is right.
 */
static void drop_connection_of_parent(void)
{
  pthread_mutex_init(&lock, NULL);
  pthread_mutex_init(&fd_lock, NULL);
  refusing = false;
  if (shutdown_fd >= 0) close(shutdown_fd);
  connection = NULL;
  shutdown_fd = -1;
}

static void watch_forks(void)
{
  (void)pthread_atfork(lock_fd, unlock_fd, drop_connection_of_parent);
}

static uint64_t now_us(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t left_us(uint64_t deadline)
{
  uint64_t now = now_us();

  return now < deadline ? deadline - now : 0;
}

static int acquire_lock(uint64_t deadline)
{
  struct timespec until = {
    .tv_sec = (time_t)(deadline / 1000000),
    .tv_nsec = (long)(deadline % 1000000) * 1000,
  };

  pthread_once(&once, watch_forks);
  return -pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &until);
}

/* Returns -ECANCELED while calls are refused. */
static int set_shutdown_fd(int fd)
{
  bool refused;

  lock_fd();
  shutdown_fd = fd;
  refused = refusing;
  unlock_fd();
  return refused ? -ECANCELED : 0;
}

/* The only place that blocks while the lock is held. */
static int process_or_wait(uint64_t deadline)
{
  int r = sd_bus_process(connection, NULL), refused;

  if (r < 0) return r;
  if (left_us(deadline) == 0) return -ETIMEDOUT;
  refused = set_shutdown_fd(sd_bus_get_fd(connection));
  if (refused >= 0 && r == 0) r = sd_bus_wait(connection, left_us(deadline));
  refused = set_shutdown_fd(-1);
  if (refused < 0) return refused;
  return r == -EINTR ? 0 : r;
}

static int wait_until_ready(uint64_t deadline)
{
  int r;

  while ((r = sd_bus_is_ready(connection)) == 0) {
    r = process_or_wait(deadline);
    if (r < 0) return r;
  }
  return r < 0 ? r : 0;
}

static void close_connection(void)
{
  connection = sd_bus_close_unref(connection);
}

static int open_connection(uint64_t deadline)
{
  /* the environment of a set-uid program belongs to its caller */
  const char *address = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
  int r;

  if (address == NULL || *address == '\0') address = SYSTEM_BUS_ADDRESS;
  r = sd_bus_new(&connection);
  if (r >= 0) r = sd_bus_set_address(connection, address);
  if (r >= 0) r = sd_bus_set_bus_client(connection, 1);
  /* otherwise other processes could fill this one with descriptors */
  if (r >= 0) r = sd_bus_negotiate_fds(connection, 0);
  if (r >= 0) r = sd_bus_start(connection);
  if (r >= 0) r = wait_until_ready(deadline);
  if (r < 0) close_connection();
  return r;
}

/*
 * Drains messages that arrived while the connection was idle, which also detects a closed connection before anything is
 * sent. Any process may send us signals: a flooded connection counts as lost.
 */
static bool is_usable(sd_bus *bus)
{
  int r = 1;

  for (int i = 0; r > 0 && i < UNREAD_MAX; i++) r = sd_bus_process(bus, NULL);
  return r == 0 && sd_bus_is_open(bus) > 0;
}

static int ensure_connection(uint64_t deadline)
{
  if (connection != NULL && is_usable(connection)) return 0;
  close_connection();
  return open_connection(deadline);
}

static int append_sign_arguments(sd_bus_message *message, const struct sign_request *request)
{
  int r = sd_bus_message_append(message, "s", request->mechanism);

  if (r >= 0) r = sd_bus_message_append_array(message, 'y', request->data, request->data_length);
  if (r >= 0) r = sd_bus_message_open_container(message, 'a', "{sv}");
  if (r >= 0 && request->prehashed) r = sd_bus_message_append(message, "{sv}", "prehashed", "b", 1);
  if (r >= 0 && request->request_id != NULL)
    r = sd_bus_message_append(message, "{sv}", "request_id", "s", request->request_id);
  if (r >= 0) r = sd_bus_message_open_container(message, 'e', "sv");
  if (r >= 0) r = sd_bus_message_append(message, "s", "public_key");
  if (r >= 0) r = sd_bus_message_open_container(message, 'v', "ay");
  if (r >= 0) r = sd_bus_message_append_array(message, 'y', request->spki_digest, SPKI_DIGEST_SIZE);
  if (r >= 0) r = sd_bus_message_close_container(message);
  if (r >= 0) r = sd_bus_message_close_container(message);
  if (r >= 0) r = sd_bus_message_close_container(message);
  return r;
}

static int new_call(sd_bus_message **message, const char *key_id, const struct sign_request *request)
{
  const char *member = request != NULL ? "Sign" : "GetPublicKey";
  int r = sd_bus_message_new_method_call(connection, message, KEYS_NAME, KEYS_PATH, KEYS_NAME, member);

  if (r >= 0) r = sd_bus_message_append(*message, "s", key_id);
  if (r < 0) return r;
  return request != NULL ? append_sign_arguments(*message, request) : sd_bus_message_append(*message, "a{sv}", 0);
}

static int read_bytes(sd_bus_message *reply, struct buffer *out)
{
  const void *bytes = NULL;
  size_t length = 0;
  int r;

  if (sd_bus_message_has_signature(reply, "ay") <= 0) return -EBADMSG;
  r = sd_bus_message_read_array(reply, 'y', &bytes, &length);
  if (r < 0) return r;
  if (length == 0) return -EBADMSG;
  if (length > out->capacity) return -EMSGSIZE;
  memcpy(out->bytes, bytes, length);
  out->length = length;
  return 0;
}

static const struct {
  const char *name;
  enum failure_kind kind;
} error_kinds[] = {
  { "org.freedesktop.DBus.Error.AccessDenied", FAILURE_ACCESS_DENIED },
  { "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", FAILURE_ACCESS_DENIED },
  { "org.freedesktop.DBus.Error.NoReply", FAILURE_TIMED_OUT },
  { "org.freedesktop.DBus.Error.Timeout", FAILURE_TIMED_OUT },
  { "org.freedesktop.DBus.Error.TimedOut", FAILURE_TIMED_OUT },
  { "org.freedesktop.DBus.Error.ServiceUnknown", FAILURE_UNAVAILABLE },
  { "org.freedesktop.DBus.Error.NameHasNoOwner", FAILURE_UNAVAILABLE },
  { "org.freedesktop.DBus.Error.LimitsExceeded", FAILURE_UNAVAILABLE },
  { "org.freedesktop.DBus.Error.Disconnected", FAILURE_UNAVAILABLE },
  { "org.iotedge.Error.Unavailable", FAILURE_UNAVAILABLE },
  { "org.iotedge.Error.NotFound", FAILURE_NOT_FOUND },
  { "org.iotedge.Error.NotSupported", FAILURE_NOT_SUPPORTED },
};

/* Prefix of the errors of a service that the bus could not start. */
#define SPAWN_ERRORS "org.freedesktop.DBus.Error.Spawn."
/* prefix of systemd's errors for a unit that cannot be started */
#define UNIT_ERRORS "org.freedesktop.systemd1."

static enum failure_kind kind_of_error(const sd_bus_error *bus_error)
{
  if (strncmp(bus_error->name, SPAWN_ERRORS, strlen(SPAWN_ERRORS)) == 0) return FAILURE_UNAVAILABLE;
  if (strncmp(bus_error->name, UNIT_ERRORS, strlen(UNIT_ERRORS)) == 0) return FAILURE_UNAVAILABLE;
  for (size_t i = 0; i < sizeof error_kinds / sizeof error_kinds[0]; i++) {
    if (strcmp(bus_error->name, error_kinds[i].name) != 0) continue;
    /* by the contract of Sign with option public_key, both are NotFound */
    if (error_kinds[i].kind == FAILURE_NOT_FOUND && bus_error->message != NULL
        && strstr(bus_error->message, "was replaced") != NULL)
      return FAILURE_REPLACED;
    return error_kinds[i].kind;
  }
  return FAILURE_OTHER;
}

static enum failure_kind kind_of_errno(int error)
{
  switch (error) {
    case -ETIMEDOUT: return FAILURE_TIMED_OUT;
    case -ENOMEM:
    case -EBADMSG:
    case -EMSGSIZE:
    case -EINVAL: return FAILURE_OTHER;
    /* no bus, or one that closed the connection or refused it */
    default: return FAILURE_UNAVAILABLE;
  }
}

/* The text comes from another process and ends up in logs: printable ASCII only. */
static void describe(struct failure *failure, int error, const sd_bus_error *bus_error)
{
  char reason[128];
  bool has_name = bus_error != NULL && bus_error->name != NULL;

  last_kind = has_name && error == -EIO ? kind_of_error(bus_error) : kind_of_errno(error);
  if (has_name)
    snprintf(failure->text, sizeof failure->text, "%s: %s", bus_error->name,
             bus_error->message == NULL ? "" : bus_error->message);
  else
    snprintf(failure->text, sizeof failure->text, "%s", strerror_r(-error, reason, sizeof reason));
  for (char *c = failure->text; *c != '\0'; c++)
    if (*c < ' ' || *c > '~') *c = '?';
}

static int take_reply(sd_bus_message *reply, void *into, sd_bus_error *error)
{
  (void)error;
  *(sd_bus_message **)into = sd_bus_message_ref(reply);
  return 1;
}

/*
 * Not sd_bus_call, which queues all other messages until the reply arrives, and any process may send us signals. Here
 * each is processed and dropped as it arrives.
 */
static int wait_for_reply(sd_bus_message *message, uint64_t deadline, sd_bus_message **reply)
{
  sd_bus_slot *slot = NULL;
  int r = left_us(deadline) == 0 ? -ETIMEDOUT
                                 : sd_bus_call_async(connection, &slot, message, take_reply, reply, UINT64_MAX);

  while (r >= 0 && *reply == NULL) r = process_or_wait(deadline);
  sd_bus_slot_unref(slot);
  if (*reply == NULL) return r;
  /* sd-bus itself replies with an error when the connection is lost */
  return sd_bus_is_open(connection) > 0 ? 0 : -ECONNRESET;
}

static int call_and_read(sd_bus_message *message, uint64_t deadline, struct buffer *out, struct failure *failure)
{
  sd_bus_error lost = SD_BUS_ERROR_NULL;
  sd_bus_message *reply = NULL;
  const sd_bus_error *bus_error = &lost;
  int r = wait_for_reply(message, deadline, &reply);

  if (r < 0) {
    sd_bus_error_set_errno(&lost, r);
  } else if (sd_bus_message_is_method_error(reply, NULL) > 0) {
    bus_error = sd_bus_message_get_error(reply);
    r = -EIO;
  } else {
    r = read_bytes(reply, out);
  }
  if (r < 0) describe(failure, r, bus_error);
  sd_bus_message_unref(reply);
  sd_bus_error_free(&lost);
  if (r < 0 && sd_bus_is_open(connection) <= 0) close_connection();
  return r;
}

/* `request` is NULL for GetPublicKey. */
static bool call(const char *key_id, const struct sign_request *request, struct buffer *out, struct failure *failure)
{
  uint64_t deadline = now_us() + (uint64_t)KEYS_DEADLINE_MS * 1000;
  sd_bus_message *message = NULL;
  int r = acquire_lock(deadline);

  if (r < 0) {
    describe(failure, r, NULL);
    return false;
  }
  r = set_shutdown_fd(-1);
  if (r >= 0) r = ensure_connection(deadline);
  if (r >= 0) r = new_call(&message, key_id, request);
  if (r < 0)
    describe(failure, r, NULL);
  else
    r = call_and_read(message, deadline, out, failure);
  sd_bus_message_unref(message);
  if (connection != NULL) (void)set_shutdown_fd(sd_bus_get_fd(connection));
  pthread_mutex_unlock(&lock);
  return r >= 0;
}

bool keys_sign(const struct sign_request *request, struct buffer *signature, struct failure *failure)
{
  return call(request->key_id, request, signature, failure);
}

bool keys_get_public_key(const char *key_id, struct buffer *spki, struct failure *failure)
{
  return call(key_id, NULL, spki, failure);
}

enum failure_kind keys_failure_kind(void)
{
  return last_kind;
}

void keys_client_refuse(bool refuse)
{
  lock_fd();
  refusing = refuse;
  if (refuse && shutdown_fd >= 0) shutdown(shutdown_fd, SHUT_RDWR);
  unlock_fd();
}

void keys_client_close(void)
{
  if (pthread_mutex_trylock(&lock) != 0) return;
  (void)set_shutdown_fd(-1);
  close_connection();
  pthread_mutex_unlock(&lock);
}
