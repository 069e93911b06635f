/*
 * Signs with `iotedge:<id>` into buffers that are too small, each in memory of exactly its size, so that AddressSanitizer
 * sees every octet that is written beyond it, and into one that is large enough. Exits with 0 when only the last one
 * was accepted.
 *
 * usage: small-buffer KEY_ID
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load-key.h"

#define SPARE 8 /* an ECDSA signature may be shorter than the greatest by as much, and by more almost never */

static bool sign(EVP_PKEY *key, size_t capacity)
{
  const char *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : "SHA256";
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  unsigned char *signature = malloc(capacity);
  size_t length = capacity;
  bool done = context != NULL && signature != NULL
              && EVP_DigestSignInit_ex(context, NULL, digest, NULL, NULL, key, NULL) > 0
              && EVP_DigestSign(context, signature, &length, (const unsigned char *)"m", 1) > 0 && length <= capacity;

  free(signature);
  EVP_MD_CTX_free(context);
  ERR_clear_error();
  return done;
}

int main(int count, char **arguments)
{
  EVP_PKEY *key = count != 2 ? NULL : load(arguments[1]);
  size_t greatest = key == NULL ? 0 : (size_t)EVP_PKEY_get_size(key);
  size_t shortest = key != NULL && EVP_PKEY_is_a(key, "EC") ? greatest - SPARE : greatest;
  const size_t sizes[] = { 1, 31, shortest - 1 };

  if (greatest == 0) return 2;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    if (!sign(key, sizes[i])) continue;
    fprintf(stderr, "%zu of %zu bytes were enough\n", sizes[i], greatest);
    return 1;
  }
  if (!sign(key, greatest)) {
    fprintf(stderr, "%zu bytes were not enough\n", greatest);
    return 1;
  }
  EVP_PKEY_free(key);
  return 0;
}
