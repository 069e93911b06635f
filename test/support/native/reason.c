/*
 * Signs with `iotedge:<id>` like a program that prints only the reason of the oldest error, and with PSS where
 * a salt length is given. Prints "signed", or the reason.
 *
 * usage: reason KEY_ID [SALT_LENGTH]
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "load-key.h"

static bool set_salt(EVP_PKEY_CTX *context, const char *length)
{
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0
         && EVP_PKEY_CTX_set_rsa_pss_saltlen(context, atoi(length)) > 0;
}

static bool sign(EVP_PKEY *key, const char *salt)
{
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  EVP_PKEY_CTX *key_context = NULL;
  unsigned char signature[1024];
  size_t length = sizeof signature;
  bool done = context != NULL && EVP_DigestSignInit_ex(context, &key_context, "SHA256", NULL, NULL, key, NULL) > 0
              && (salt == NULL || set_salt(key_context, salt))
              && EVP_DigestSign(context, signature, &length, (const unsigned char *)"m", 1) > 0;

  EVP_MD_CTX_free(context);
  return done;
}

int main(int count, char **arguments)
{
  EVP_PKEY *key = count < 2 ? NULL : load(arguments[1]);
  bool done = key != NULL && sign(key, count > 2 ? arguments[2] : NULL);
  const char *reason = done ? "signed" : ERR_reason_error_string(ERR_peek_error());

  puts(reason == NULL ? "no reason" : reason);
  EVP_PKEY_free(key);
  return 0;
}
