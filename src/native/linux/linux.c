/*
 * System calls that Node lacks: datagrams to unix sockets, with descriptors, by a sealed memfd when too large; what is
 * known of a unix socket: its peer, where it listens; and what a process sets for itself: its end with its parent, no
 * core, no descriptors for the programs it executes, and less memory.
 */
#define NAPI_VERSION 8
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <node_api.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define SEND_BUFFER_SIZE (8 << 20)
#define MAX_DESCRIPTORS 16
#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static napi_value throw_error(napi_env env, int error, const char *what)
{
  char message[160], reason[96];

  snprintf(message, sizeof message, "%s: %s", what, strerror_r(error, reason, sizeof reason));
  napi_throw_error(env, strerrorname_np(error), message);
  return NULL;
}

/* A path, or an abstract name that begins with `@`. */
static bool to_address(const char *text, size_t length, struct sockaddr_un *address, socklen_t *size)
{
  if ((text[0] != '/' && text[0] != '@') || length < 2 || length >= sizeof address->sun_path) return false;
  if (memchr(text, '\0', length) != NULL) return false;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, text, length);
  *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  if (text[0] == '@')
    address->sun_path[0] = '\0'; /* an abstract name ends with its length */
  else
    *size += 1;
  return true;
}

static int write_all(int fd, const uint8_t *data, size_t length)
{
  while (length > 0) {
    ssize_t written = write(fd, data, length);

    if (written < 0 && errno != EINTR) return -errno;
    if (written > 0) {
      data += written;
      length -= (size_t)written;
    }
  }
  return 0;
}

/* Returns the descriptor of a sealed memfd, or a negative errno. */
static int sealed_copy(const uint8_t *data, size_t length)
{
  int fd = memfd_create("journal-record", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

  if (fd < 0) return -errno;
  r = write_all(fd, data, length);
  if (r == 0 && fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0) r = -errno;
  if (r == 0) return fd;
  close(fd);
  return r;
}

/* A datagram and where it goes. */
struct datagram {
  struct sockaddr_un address;
  socklen_t address_size;
  struct iovec data;
  const int *fds;
  size_t fd_count;
};

/* Never blocks: a full receive buffer is a failure. */
static int send_message(int sock, struct datagram *datagram)
{
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
  } control;
  size_t size = datagram->fd_count * sizeof(int);
  struct msghdr message = {
    .msg_name = &datagram->address,
    .msg_namelen = datagram->address_size,
    .msg_iov = &datagram->data,
    .msg_iovlen = 1,
  };

  if (size > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(size);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(&control.header), datagram->fds, size);
  }
  return sendmsg(sock, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int send_as_descriptor(int sock, struct datagram *datagram)
{
  int fd = sealed_copy(datagram->data.iov_base, datagram->data.iov_len), r;
  struct datagram copy = *datagram;

  if (fd < 0) return fd;
  copy.data.iov_len = 0;
  copy.fds = &fd;
  copy.fd_count = 1;
  r = send_message(sock, &copy);
  close(fd);
  return r;
}

static int send_datagram(struct datagram *datagram, bool large)
{
  int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), buffer = SEND_BUFFER_SIZE, r;

  if (sock < 0) return -errno;
  /* up to the system's limit; larger datagrams are sent as a descriptor */
  (void)setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  r = send_message(sock, datagram);
  if (large && (r == -EMSGSIZE || r == -ENOBUFS)) r = send_as_descriptor(sock, datagram);
  close(sock);
  return r;
}

/* send(address: string, data: Uint8Array, large: boolean, fds: Int32Array): boolean. No more than MAX_DESCRIPTORS fds. */
static napi_value send_to(napi_env env, napi_callback_info info)
{
  napi_value arguments[4], result;
  size_t count = 4, text_length;
  char text[sizeof((struct sockaddr_un *)NULL)->sun_path + 4]; /* a truncated text is still too long for sun_path */
  struct datagram datagram;
  napi_typedarray_type data_type, fds_type;
  void *fds;
  bool large, sent;

  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count != 4
      || napi_get_value_string_utf8(env, arguments[0], text, sizeof text, &text_length) != napi_ok
      || napi_get_typedarray_info(env, arguments[1], &data_type, &datagram.data.iov_len, &datagram.data.iov_base, NULL,
                                  NULL) != napi_ok
      || data_type != napi_uint8_array || napi_get_value_bool(env, arguments[2], &large) != napi_ok
      || napi_get_typedarray_info(env, arguments[3], &fds_type, &datagram.fd_count, &fds, NULL, NULL) != napi_ok
      || fds_type != napi_int32_array || datagram.fd_count > MAX_DESCRIPTORS)
    return throw_error(env, EINVAL, "send");
  datagram.fds = fds;
  sent = to_address(text, text_length, &datagram.address, &datagram.address_size) && send_datagram(&datagram, large) == 0;
  return napi_get_boolean(env, sent, &result) == napi_ok ? result : NULL;
}

static bool has_option(int fd, int option, int wanted)
{
  int value = -1;
  socklen_t size = sizeof value;

  return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

/* listeningPath(fd: number): string | undefined. Where a unix stream socket listens; undefined for anything else. */
static napi_value listening_path(napi_env env, napi_callback_info info)
{
  napi_value argument, result;
  size_t count = 1, length;
  int32_t fd;
  struct sockaddr_un address = {0};
  socklen_t size = sizeof address;

  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count != 1
      || napi_get_value_int32(env, argument, &fd) != napi_ok)
    return throw_error(env, EINVAL, "listeningPath");
  if (!has_option(fd, SO_DOMAIN, AF_UNIX) || !has_option(fd, SO_TYPE, SOCK_STREAM) || !has_option(fd, SO_ACCEPTCONN, 1)
      || getsockname(fd, (struct sockaddr *)&address, &size) < 0)
    return NULL;
  /* the kernel states a larger size for a path that fills sun_path */
  length = strnlen(address.sun_path, sizeof address.sun_path);
  if (length == 0) return NULL;
  return napi_create_string_utf8(env, address.sun_path, length, &result) == napi_ok ? result : NULL;
}

static bool set_number(napi_env env, napi_value object, const char *name, int64_t number)
{
  napi_value value;

  return napi_create_int64(env, number, &value) == napi_ok
         && napi_set_named_property(env, object, name, value) == napi_ok;
}

/* peer(fd: number): { pid, uid, gid } */
static napi_value peer(napi_env env, napi_callback_info info)
{
  napi_value argument, result;
  size_t count = 1;
  int32_t fd;
  struct ucred credentials;
  socklen_t size = sizeof credentials;

  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count != 1
      || napi_get_value_int32(env, argument, &fd) != napi_ok)
    return throw_error(env, EINVAL, "peer");
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return throw_error(env, errno, "SO_PEERCRED");
  /* what the kernel returns for a socket that is not a connected unix socket */
  if (size != sizeof credentials || credentials.uid == (uid_t)-1) return throw_error(env, ENOTCONN, "SO_PEERCRED");
  if (napi_create_object(env, &result) != napi_ok || !set_number(env, result, "pid", credentials.pid)
      || !set_number(env, result, "uid", credentials.uid) || !set_number(env, result, "gid", credentials.gid))
    return NULL;
  return result;
}

/* peerPidfd(fd: number): number | undefined. A pidfd of the peer, which the caller closes; undefined before Linux 6.5. */
static napi_value peer_pidfd(napi_env env, napi_callback_info info)
{
  napi_value argument, result;
  size_t count = 1;
  int32_t fd;
  int pidfd;
  socklen_t size = sizeof pidfd;

  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count != 1
      || napi_get_value_int32(env, argument, &fd) != napi_ok)
    return throw_error(env, EINVAL, "peerPidfd");
  if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0)
    return errno == ENOPROTOOPT ? NULL : throw_error(env, errno, "SO_PEERPIDFD");
  return napi_create_int32(env, pidfd, &result) == napi_ok ? result : NULL;
}

/*
 * endWithParent(parent: number): boolean. Compares the parent after the signal is requested: one that ended before sends
 * none. The kernel sends it when the thread that forked ends, and drops the request when the user or group changes.
 */
static napi_value end_with_parent(napi_env env, napi_callback_info info)
{
  napi_value argument, result;
  size_t count = 1;
  int32_t parent;

  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count != 1
      || napi_get_value_int32(env, argument, &parent) != napi_ok || parent <= 0)
    return throw_error(env, EINVAL, "endWithParent");
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return throw_error(env, errno, "PR_SET_PDEATHSIG");
  return napi_get_boolean(env, getppid() == parent, &result) == napi_ok ? result : NULL;
}

/* noCore(): void. A core that is piped to a program (core(5)) ignores the limit, so the process is not dumpable either. */
static napi_value no_core(napi_env env, napi_callback_info info)
{
  struct rlimit none = {0, 0};

  (void)info;
  if (prctl(PR_SET_DUMPABLE, 0) < 0) return throw_error(env, errno, "PR_SET_DUMPABLE");
  if (setrlimit(RLIMIT_CORE, &none) < 0) return throw_error(env, errno, "RLIMIT_CORE");
  return NULL;
}

/* closeOnExec(): void. Of all descriptors but standard input, output and error; Node marks only those it opens. */
static napi_value close_on_exec(napi_env env, napi_callback_info info)
{
  (void)info;
  if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0) return throw_error(env, errno, "close_range");
  return NULL;
}

/* trimMemory(): void. glibc keeps what was freed below the last allocation, above all of a thread that ended. */
static napi_value trim_memory(napi_env env, napi_callback_info info)
{
  (void)env;
  (void)info;
  malloc_trim(0);
  return NULL;
}

static bool export_function(napi_env env, napi_value exports, const char *name, napi_callback callback)
{
  napi_value function;

  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &function) == napi_ok
         && napi_set_named_property(env, exports, name, function) == napi_ok;
}

NAPI_MODULE_INIT()
{
  if (!export_function(env, exports, "send", send_to) || !export_function(env, exports, "peer", peer)
      || !export_function(env, exports, "peerPidfd", peer_pidfd)
      || !export_function(env, exports, "listeningPath", listening_path)
      || !export_function(env, exports, "endWithParent", end_with_parent)
      || !export_function(env, exports, "noCore", no_core)
      || !export_function(env, exports, "closeOnExec", close_on_exec)
      || !export_function(env, exports, "trimMemory", trim_memory))
    return NULL;
  return exports;
}
