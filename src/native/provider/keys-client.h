/* A blocking client of the Keys service on the system bus. Knows nothing of OpenSSL. Safe to use from any thread. */
#ifndef IOTEDGE_KEYS_CLIENT_H
#define IOTEDGE_KEYS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct sign_request {
  const char *key_id;
  const char *mechanism;
  const unsigned char *data;
  size_t data_length;
  bool prehashed;
  const unsigned char *spki_digest; /* SHA-256, 32 bytes */
  const char *request_id; /* NULL for none */
};

struct buffer {
  unsigned char *bytes;
  size_t capacity;
  size_t length; /* what was written */
};

/* The kinds of failures that somebody who uses a key can do something about. */
enum failure_kind {
  FAILURE_OTHER,
  FAILURE_ACCESS_DENIED,
  FAILURE_NOT_FOUND,
  FAILURE_REPLACED, /* there is a key of that id, with another public half */
  FAILURE_NOT_SUPPORTED,
  FAILURE_UNAVAILABLE, /* the key, the service or the bus: try again later */
  FAILURE_TIMED_OUT,
};

/* What went wrong, in one line: the D-Bus error name and message, or the system's reason. */
struct failure {
  char text[512];
};

bool keys_sign(const struct sign_request *request, struct buffer *signature, struct failure *failure);
bool keys_get_public_key(const char *key_id, struct buffer *spki, struct failure *failure);
/* The kind of the last failure of these calls in this thread. */
enum failure_kind keys_failure_kind(void);

/*
 * From true until false every call fails without waiting for anybody, and none connects: also one in progress that is
 * connecting, waits for its answer or for another call. Only one that has its answer ends with it.
 */
void keys_client_refuse(bool refuse);

/* Gives up the connection of the process, unless a call is in progress. The next call opens another. */
void keys_client_close(void);

#endif
