#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "keys-client.h"

/* Requests the public key of a missing id: whether that fails with a text that contains `why`. Prints a mismatch. */
static inline bool call_fails_with(const char *why)
{
  unsigned char bytes[64];
  struct buffer spki = { bytes, sizeof bytes, 0 };
  struct failure failure = { "" };
  bool done = keys_get_public_key("a", &spki, &failure);

  if (!done && strstr(failure.text, why) != NULL) return true;
  fprintf(stderr, "not \"%s\": %s\n", why, failure.text);
  return false;
}
