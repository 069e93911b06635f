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
  size_t length; /* bytes written */
};

/* The failures that the user of a key can act on. */
enum failure_kind {
  FAILURE_OTHER,
  FAILURE_ACCESS_DENIED,
  FAILURE_NOT_FOUND,
  FAILURE_REPLACED, /* the id now has a key with another public half */
  FAILURE_NOT_SUPPORTED,
  FAILURE_UNAVAILABLE, /* the key, the service or the bus; worth a retry */
  FAILURE_TIMED_OUT,
};

/* One line: the name and message of the D-Bus error, or the text of the errno. */
struct failure {
  char text[512];
};

bool keys_sign(const struct sign_request *request, struct buffer *signature, struct failure *failure);
bool keys_get_public_key(const char *key_id, struct buffer *spki, struct failure *failure);
/* The kind of the last failure in this thread. */
enum failure_kind keys_failure_kind(void);

/*
 * While refused, every call fails without blocking or connecting, including those in progress that are connecting,
 * waiting for their reply or for another call. A call that already has its reply returns it.
 */
void keys_client_refuse(bool refuse);

/* Closes the connection, unless a call is in progress. The next call opens a new one. */
void keys_client_close(void);

#endif
