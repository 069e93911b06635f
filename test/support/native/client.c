/*
 * Calls the Keys service once, with a buffer of exactly CAPACITY bytes for the result. Prints `returned` and the number of
 * bytes, or the number of the failure and its text.
 *
 * usage: client CAPACITY get KEY_ID | client CAPACITY sign KEY_ID MECHANISM DATA
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys-client.h"

static bool call(char **words, struct buffer *out, struct failure *failure)
{
  unsigned char digest[32];
  struct sign_request request = { .key_id = words[3], .prehashed = true, .spki_digest = digest };

  if (strcmp(words[2], "get") == 0) return keys_get_public_key(words[3], out, failure);
  for (size_t i = 0; i < sizeof digest; i++) digest[i] = (unsigned char)i;
  request.mechanism = words[4];
  request.data = (const unsigned char *)words[5];
  request.data_length = strlen(words[5]);
  return keys_sign(&request, out, failure);
}

int main(int count, char **words)
{
  size_t capacity = count < 4 ? 0 : (size_t)atoi(words[1]);
  struct buffer out = { malloc(capacity), capacity, 0 };
  struct failure failure = { "" };

  if (count < 4 || out.bytes == NULL) return 2;
  if (call(words, &out, &failure))
    printf("returned %zu\n", out.length);
  else
    printf("%d %s\n", (int)keys_failure_kind(), failure.text);
  free(out.bytes);
  keys_client_close();
  return 0;
}
