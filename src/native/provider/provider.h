/*
 * The OpenSSL 3 provider `iotedge-keys`: key pairs whose private half lives in the Keys service.
 *
 * Nothing in here is secret. A key is its id and its public half; each private operation is one call of
 * org.iotedge.Keys1.Sign. Everything that a public key suffices for (hashing, verifying, comparing) is left to another
 * provider of the same process, usually OpenSSL's default one.
 */
#ifndef IOTEDGE_KEYS_PROVIDER_H
#define IOTEDGE_KEYS_PROVIDER_H

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define PROVIDER_NAME "iotedge-keys"
/* Property query of our own fetches: any provider but this one. */
#define OTHER_PROVIDERS "provider!=" PROVIDER_NAME
#define SPKI_DIGEST_SIZE 32

enum reason {
  REASON_OUT_OF_MEMORY = 1,
  REASON_DAMAGED_KEY_FILE,
  REASON_INVALID_KEY_ID,
  REASON_INVALID_PUBLIC_KEY,
  REASON_NOT_EXPORTABLE,
  REASON_NO_PRIVATE_KEY,
  REASON_NOT_SUPPORTED,
  REASON_INVALID_LENGTH,
  REASON_KEYS_SERVICE,
  REASON_ACCESS_DENIED,
  REASON_NOT_FOUND,
  REASON_REPLACED,
  REASON_UNAVAILABLE,
  REASON_TIMED_OUT,
};

struct provider {
  const OSSL_CORE_HANDLE *handle;
  OSSL_LIB_CTX *libctx;
  OSSL_FUNC_core_new_error_fn *new_error;
  OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
  OSSL_FUNC_core_vset_error_fn *vset_error;
};

/* Adds an error to OpenSSL's queue; returns 0, the failure value of most provider callbacks. */
int provider_fail(const struct provider *provider, const char *function, enum reason reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The reason of the last failed call of the Keys service in this thread. */
enum reason reason_of_failure(void);
#define FAIL(provider, reason, ...) provider_fail((provider), __func__, (reason), __VA_ARGS__)

enum key_type { KEY_RSA, KEY_EC, KEY_ED25519, KEY_TYPES };

/* Immutable, so copies share it. */
struct key {
  const struct provider *provider;
  enum key_type type;
  atomic_uint references;
  EVP_PKEY *public_half;
  char *id; /* NULL for a public key */
  char *request_id; /* sent with each request to sign; NULL for none */
  unsigned char spki_digest[SPKI_DIGEST_SIZE];
};

struct key_file {
  const char *id;
  size_t id_length;
  const unsigned char *spki;
  size_t spki_length;
  const char *request_id; /* NULL for none */
  size_t request_id_length;
};

/* key.c */
extern const char *const key_type_names[KEY_TYPES];
struct key *key_from_spki(const struct provider *provider, const struct key_file *file);
struct key *key_share(struct key *key);
void key_free(void *key);
/* Passes a key to OpenSSL, which owns it once it calls `load` of the key management; else frees it. */
int key_emit(struct key *key, OSSL_CALLBACK *callback, void *argument);

/* key-file.c */
bool key_id_is_valid(const char *id, size_t length);
bool key_file_parse(const unsigned char *der, size_t length, struct key_file *file);

extern const OSSL_DISPATCH key_rsa_functions[], key_ec_functions[], key_ed25519_functions[];
extern const OSSL_DISPATCH signature_functions[], signature_ed25519_functions[];
extern const OSSL_DISPATCH decoder_pem_functions[];
extern const OSSL_DISPATCH decoder_rsa_functions[], decoder_ec_functions[], decoder_ed25519_functions[];
extern const OSSL_DISPATCH store_functions[];

#define FUNCTION(id, function) { (id), (void (*)(void))(function) }
#define END_OF_FUNCTIONS { 0, NULL }

#endif
