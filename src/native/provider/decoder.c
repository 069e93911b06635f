/*
 * Reads `-----BEGIN IOTEDGE KEY-----`: one decoder unwraps the key file from the PEM, one per key type decodes it.
 * OpenSSL tries decoders on everything it reads, so other input is skipped without an error.
 */
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "provider.h"

#define PEM_LABEL "IOTEDGE KEY"
#define KEY_FILE_SIZE_MAX 8192
#define SKIPPED 1 /* not an error: another decoder may accept the input */

struct decoder {
  const struct provider *provider;
  enum key_type type;
};

static void *decoder_new(const struct provider *provider, enum key_type type)
{
  struct decoder *decoder = malloc(sizeof *decoder);

  if (decoder == NULL) {
    FAIL(provider, REASON_OUT_OF_MEMORY, "decoder");
    return NULL;
  }
  decoder->provider = provider;
  decoder->type = type;
  return decoder;
}

static void *new_pem(void *context) { return decoder_new(context, KEY_TYPES); }
static void *new_rsa(void *context) { return decoder_new(context, KEY_RSA); }
static void *new_ec(void *context) { return decoder_new(context, KEY_EC); }
static void *new_ed25519(void *context) { return decoder_new(context, KEY_ED25519); }

static int does_selection(void *context, int selection)
{
  (void)context;
  return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
}

static int emit_der(unsigned char *der, size_t length, OSSL_CALLBACK *callback, void *argument)
{
  int object = OSSL_OBJECT_PKEY;
  char structure[] = "iotedge-key";
  OSSL_PARAM params[] = {
    OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &object),
    OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, structure, 0),
    OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, der, length),
    OSSL_PARAM_construct_end(),
  };

  return callback(params, argument);
}

static int decode_pem(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *argument,
                      OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_argument)
{
  struct decoder *decoder = context;
  BIO *bio = BIO_new_from_core_bio(decoder->provider->libctx, in);
  char *label = NULL, *header = NULL;
  unsigned char *der = NULL;
  long length = 0;
  struct key_file file;
  int result = SKIPPED;

  (void)selection;
  (void)passphrase;
  (void)passphrase_argument;
  if (bio != NULL && PEM_read_bio(bio, &label, &header, &der, &length) > 0 && strcmp(label, PEM_LABEL) == 0) {
    if (header[0] == '\0' && length <= KEY_FILE_SIZE_MAX && key_file_parse(der, (size_t)length, &file))
      result = emit_der(der, (size_t)length, callback, argument);
    else
      result = FAIL(decoder->provider, REASON_DAMAGED_KEY_FILE, PEM_LABEL);
  }
  OPENSSL_free(label);
  OPENSSL_free(header);
  OPENSSL_clear_free(der, length > 0 ? (size_t)length : 0); /* may be another provider's private key */
  BIO_free(bio);
  return result;
}

/* Reads the rest of the BIO; returns 0 when it is larger than any key file. */
static size_t read_all(BIO *bio, unsigned char *into, size_t capacity)
{
  size_t length = 0, got = 0;

  while (length < capacity && BIO_read_ex(bio, into + length, capacity - length, &got) && got > 0) length += got;
  return length < capacity ? length : 0;
}

static int decode_key_file(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *callback, void *argument,
                           OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_argument)
{
  struct decoder *decoder = context;
  BIO *bio = BIO_new_from_core_bio(decoder->provider->libctx, in);
  unsigned char der[KEY_FILE_SIZE_MAX + 1];
  size_t length = bio == NULL ? 0 : read_all(bio, der, sizeof der);
  struct key_file file;
  struct key *key;

  (void)selection;
  (void)passphrase;
  (void)passphrase_argument;
  BIO_free(bio);
  if (!key_file_parse(der, length, &file)) {
    OPENSSL_cleanse(der, sizeof der); /* may be another provider's private key, read in part or whole */
    return SKIPPED;
  }
  key = key_from_spki(decoder->provider, &file);
  if (key == NULL) return 0;
  if (key->type == decoder->type) return key_emit(key, callback, argument);
  key_free(key);
  return SKIPPED;
}

#define DECODER_FUNCTIONS(new, decode)                                                     \
  {                                                                                        \
    FUNCTION(OSSL_FUNC_DECODER_NEWCTX, new), FUNCTION(OSSL_FUNC_DECODER_FREECTX, free),    \
      FUNCTION(OSSL_FUNC_DECODER_DOES_SELECTION, does_selection),                          \
      FUNCTION(OSSL_FUNC_DECODER_DECODE, decode), END_OF_FUNCTIONS,                        \
  }

const OSSL_DISPATCH decoder_pem_functions[] = DECODER_FUNCTIONS(new_pem, decode_pem);
const OSSL_DISPATCH decoder_rsa_functions[] = DECODER_FUNCTIONS(new_rsa, decode_key_file);
const OSSL_DISPATCH decoder_ec_functions[] = DECODER_FUNCTIONS(new_ec, decode_key_file);
const OSSL_DISPATCH decoder_ed25519_functions[] = DECODER_FUNCTIONS(new_ed25519, decode_key_file);
