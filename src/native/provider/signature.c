/* Signing: hashing happens here, padding and the private operation in the Keys service. */
#include "signature.h"

#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "keys-client.h"

#define MESSAGE_SIZE_MAX (64 << 10)
#define SIGNATURE_SIZE_MAX 2048

void *signature_new(void *context, const char *properties)
{
  struct signature *signature = calloc(1, sizeof *signature);

  (void)properties; /* they choose among providers, and the private half is only here */
  if (signature == NULL) {
    FAIL((const struct provider *)context, REASON_OUT_OF_MEMORY, "signature");
    return NULL;
  }
  signature->provider = context;
  signature->padding = RSA_PKCS1_PADDING;
  signature->salt_length = RSA_PSS_SALTLEN_DIGEST;
  return signature;
}

void signature_free(void *context)
{
  struct signature *signature = context;

  if (signature == NULL) return;
  key_free(signature->key);
  EVP_MD_free(signature->md);
  EVP_MD_CTX_free(signature->digest);
  EVP_PKEY_CTX_free(signature->verifier);
  EVP_MD_CTX_free(signature->digest_verifier);
  free(signature);
}

/* Copies `from` to `*to`, which stays NULL when `from` is NULL. */
static bool copy_digest(EVP_MD_CTX **to, const EVP_MD_CTX *from)
{
  if (from == NULL) return true;
  *to = EVP_MD_CTX_new();
  return *to != NULL && EVP_MD_CTX_copy_ex(*to, from);
}

void *signature_duplicate(void *context)
{
  const struct signature *from = context;
  struct signature *to = malloc(sizeof *to);

  if (to == NULL) return NULL;
  *to = *from;
  to->digest = to->digest_verifier = NULL;
  to->verifier = NULL;
  to->key = from->key == NULL ? NULL : key_share(from->key);
  to->md = from->md != NULL && EVP_MD_up_ref(from->md) ? from->md : NULL;
  if (copy_digest(&to->digest, from->digest) && copy_digest(&to->digest_verifier, from->digest_verifier)
      && (from->verifier == NULL || (to->verifier = EVP_PKEY_CTX_dup(from->verifier)) != NULL))
    return to;
  FAIL(from->provider, REASON_OUT_OF_MEMORY, "signature");
  signature_free(to);
  return NULL;
}

int signature_take_key(struct signature *signature, struct key *key)
{
  if (key != NULL) {
    key_share(key);
    key_free(signature->key);
    signature->key = key;
  }
  if (signature->key == NULL || signature->key->public_half == NULL)
    return FAIL(signature->provider, REASON_INVALID_PUBLIC_KEY, "no key was given");
  return 1;
}

static int take_signing_key(struct signature *signature, struct key *key)
{
  if (!signature_take_key(signature, key)) return 0;
  if (signature->key->id == NULL) return FAIL(signature->provider, REASON_NO_PRIVATE_KEY, "this is a public key");
  return 1;
}

/* Returns 0 when it is unknown. */
static size_t max_size(const struct key *key)
{
  int size = EVP_PKEY_get_size(key->public_half);

  return size > 0 ? (size_t)size : 0;
}

/* RSA and Ed25519 signatures have a fixed length, DER-encoded ECDSA signatures a maximum. */
static bool length_fits(const struct key *key, size_t length, size_t max)
{
  return key->type == KEY_EC ? length <= max : length == max;
}

static int report_size(const struct signature *signature, size_t *length)
{
  *length = max_size(signature->key);
  return *length > 0;
}

/* Signs with the Keys service; `data` is a digest, or the message for Ed25519. */
static int sign_remotely(struct signature *signature, const char *mechanism, const unsigned char *data, size_t data_length,
                          unsigned char *out, size_t *out_length, size_t capacity)
{
  const struct key *key = signature->key;
  size_t size = max_size(key);
  unsigned char bytes[SIGNATURE_SIZE_MAX];
  struct buffer result = { bytes, sizeof bytes, 0 };
  struct failure failure;
  struct sign_request request = {
    .key_id = key->id,
    .mechanism = mechanism,
    .data = data,
    .data_length = data_length,
    .prehashed = key->type != KEY_ED25519,
    .spki_digest = key->spki_digest,
    .request_id = key->request_id,
  };

  if (!keys_sign(&request, &result, &failure))
    return FAIL(key->provider, reason_of_failure(), "Sign with \"%s\": %s", key->id, failure.text);
  if (!length_fits(key, result.length, size) || result.length > capacity)
    return FAIL(key->provider, REASON_INVALID_LENGTH, "a signature of %zu bytes by \"%s\"", result.length, key->id);
  memcpy(out, result.bytes, result.length);
  *out_length = result.length;
  return 1;
}

static int sign_digest(struct signature *signature, const struct hash *hash, const unsigned char *data, size_t length,
                       unsigned char *out, size_t *out_length, size_t capacity)
{
  enum scheme scheme = signature_scheme(signature);

  if (hash == NULL) return FAIL(signature->provider, REASON_NOT_SUPPORTED, "signing without a digest");
  if (length != hash->size)
    return FAIL(signature->provider, REASON_INVALID_LENGTH, "%zu bytes are no %s digest", length, hash->name);
  if (scheme == SCHEME_RSA_PSS && !signature_has_usual_pss(signature))
    return FAIL(signature->provider, REASON_NOT_SUPPORTED, "PSS with a salt or an MGF1 digest unlike the digest");
  return sign_remotely(signature, hash->mechanisms[scheme], data, length, out, out_length, capacity);
}

static int sign_init(void *context, void *key, const OSSL_PARAM params[])
{
  struct signature *signature = context;

  return take_signing_key(signature, key) && signature_set_params(signature, params);
}

/* Signs a digest; for an EC key without a hash, the length of the digest determines it. */
static int sign(void *context, unsigned char *out, size_t *out_length, size_t capacity, const unsigned char *data,
                size_t length)
{
  struct signature *signature = context;
  const struct hash *hash = signature->hash;

  if (out == NULL) return report_size(signature, out_length);
  if (hash == NULL && signature->key->type == KEY_EC) hash = hash_of_size(length);
  return sign_digest(signature, hash, data, length, out, out_length, capacity);
}

static int digest_sign_init(void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
  struct signature *signature = context;

  if (!take_signing_key(signature, key)) return 0;
  if (digest != NULL && *digest != '\0' && !signature_set_digest(signature, digest)) return 0;
  if (signature->md == NULL && !signature_set_digest(signature, "SHA256")) return 0;
  if (!signature_set_params(signature, params)) return 0;
  EVP_MD_CTX_free(signature->digest);
  signature->digest = EVP_MD_CTX_new();
  return signature->digest != NULL && EVP_DigestInit_ex2(signature->digest, signature->md, NULL);
}

static int digest_sign_update(void *context, const unsigned char *data, size_t length)
{
  struct signature *signature = context;

  return signature->digest != NULL && EVP_DigestUpdate(signature->digest, data, length);
}

static int digest_sign_final(void *context, unsigned char *out, size_t *out_length, size_t capacity)
{
  struct signature *signature = context;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;

  if (signature->digest == NULL) return 0;
  if (out == NULL) return report_size(signature, out_length);
  if (!EVP_DigestFinal_ex(signature->digest, digest, &length)) return 0;
  return sign_digest(signature, signature->hash, digest, length, out, out_length, capacity);
}

static int ed25519_sign_init(void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
  struct signature *signature = context;

  (void)params;
  if (digest != NULL && *digest != '\0')
    return FAIL(signature->provider, REASON_NOT_SUPPORTED, "Ed25519 with a digest");
  return take_signing_key(signature, key);
}

static int ed25519_sign(void *context, unsigned char *out, size_t *out_length, size_t capacity,
                        const unsigned char *message, size_t length)
{
  struct signature *signature = context;

  if (out == NULL) return report_size(signature, out_length);
  if (length > MESSAGE_SIZE_MAX)
    return FAIL(signature->provider, REASON_INVALID_LENGTH, "Ed25519 signs at most %d bytes", MESSAGE_SIZE_MAX);
  return sign_remotely(signature, "ed25519", message, length, out, out_length, capacity);
}

#define COMMON_FUNCTIONS                                                                                      \
  FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signature_new), FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signature_free), \
    FUNCTION(OSSL_FUNC_SIGNATURE_DUPCTX, signature_duplicate),                                                \
    FUNCTION(OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, signature_get_params),                                       \
    FUNCTION(OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, signature_gettable_params),                             \
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, signature_digest_verify_init)

const OSSL_DISPATCH signature_functions[] = {
  COMMON_FUNCTIONS,
  FUNCTION(OSSL_FUNC_SIGNATURE_SIGN_INIT, sign_init),
  FUNCTION(OSSL_FUNC_SIGNATURE_SIGN, sign),
  FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, digest_sign_init),
  FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, digest_sign_update),
  FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, digest_sign_final),
  FUNCTION(OSSL_FUNC_SIGNATURE_VERIFY_INIT, signature_verify_init),
  FUNCTION(OSSL_FUNC_SIGNATURE_VERIFY, signature_verify),
  FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, signature_digest_verify_update),
  FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, signature_digest_verify_final),
  FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signature_set_params),
  FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signature_settable_params),
  END_OF_FUNCTIONS,
};

const OSSL_DISPATCH signature_ed25519_functions[] = {
  COMMON_FUNCTIONS,
  FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, ed25519_sign_init),
  FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, ed25519_sign),
  FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, signature_digest_verify),
  END_OF_FUNCTIONS,
};
