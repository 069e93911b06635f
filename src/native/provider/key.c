/* Key management: an id for the private half, an ordinary key of another provider for the public half. */
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "provider.h"

const char *const key_type_names[KEY_TYPES] = { "RSA", "EC", "ED25519" };

static struct key *key_new(const struct provider *provider, enum key_type type)
{
  struct key *key = calloc(1, sizeof *key);

  if (key == NULL) {
    FAIL(provider, REASON_OUT_OF_MEMORY, "key");
    return NULL;
  }
  key->provider = provider;
  key->type = type;
  atomic_init(&key->references, 1);
  return key;
}

struct key *key_share(struct key *key)
{
  atomic_fetch_add(&key->references, 1);
  return key;
}

void key_free(void *data)
{
  struct key *key = data;

  if (key == NULL || atomic_fetch_sub(&key->references, 1) > 1) return;
  EVP_PKEY_free(key->public_half);
  free(key->id);
  free(key->request_id);
  free(key);
}

/* Decodes a SubjectPublicKeyInfo; returns NULL unless all of it is valid DER. */
static EVP_PKEY *decode_spki(const struct provider *provider, const unsigned char *spki, size_t length)
{
  const unsigned char *end = spki;
  unsigned char *again = NULL;
  EVP_PKEY *key = d2i_PUBKEY_ex(NULL, &end, (long)length, provider->libctx, OTHER_PROVIDERS);
  bool same = false;

  if (key != NULL) {
    int again_length = i2d_PUBKEY(key, &again);

    same = again_length > 0 && (size_t)again_length == length && memcmp(again, spki, length) == 0;
  }
  OPENSSL_free(again);
  if (same) return key;
  EVP_PKEY_free(key);
  FAIL(provider, REASON_INVALID_PUBLIC_KEY, "not a SubjectPublicKeyInfo in DER");
  return NULL;
}

static bool find_type(const EVP_PKEY *key, enum key_type *type)
{
  for (int i = 0; i < KEY_TYPES; i++) {
    if (EVP_PKEY_is_a(key, key_type_names[i])) {
      *type = (enum key_type)i;
      return true;
    }
  }
  return false;
}

/* Returns NULL, with an error in the queue, when the public half is unusable. */
struct key *key_from_spki(const struct provider *provider, const struct key_file *file)
{
  EVP_PKEY *public_half = decode_spki(provider, file->spki, file->spki_length);
  enum key_type type;
  struct key *key;

  if (public_half == NULL) return NULL;
  if (!find_type(public_half, &type)) {
    FAIL(provider, REASON_NOT_SUPPORTED, "only RSA, EC and Ed25519 keys");
    EVP_PKEY_free(public_half);
    return NULL;
  }
  key = key_new(provider, type);
  if (key == NULL) {
    EVP_PKEY_free(public_half);
    return NULL;
  }
  key->public_half = public_half;
  key->id = strndup(file->id, file->id_length);
  if (file->request_id != NULL) key->request_id = strndup(file->request_id, file->request_id_length);
  if (key->id == NULL || (file->request_id != NULL && key->request_id == NULL)
      || !EVP_Q_digest(provider->libctx, "SHA256", OTHER_PROVIDERS, file->spki, file->spki_length, key->spki_digest,
                       NULL)) {
    FAIL(provider, REASON_OUT_OF_MEMORY, "key");
    key_free(key);
    return NULL;
  }
  return key;
}

int key_emit(struct key *key, OSSL_CALLBACK *callback, void *argument)
{
  int object = OSSL_OBJECT_PKEY, result;
  char *type = (char *)key_type_names[key->type]; /* the callback only reads it */
  OSSL_PARAM params[] = {
    OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &object),
    OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, type, 0),
    OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &key, sizeof key),
    OSSL_PARAM_construct_end(),
  };

  result = callback(params, argument);
  key_free(key); /* NULL when `load` took it */
  return result;
}

static void *load(const void *reference, size_t size)
{
  struct key **from = (struct key **)reference; /* the variable in key_emit */
  struct key *key;

  if (size != sizeof key) return NULL;
  key = *from;
  *from = NULL;
  return key;
}

static void *new_rsa(void *context) { return key_new(context, KEY_RSA); }
static void *new_ec(void *context) { return key_new(context, KEY_EC); }
static void *new_ed25519(void *context) { return key_new(context, KEY_ED25519); }

static void *duplicate(const void *data, int selection)
{
  (void)selection;
  return key_share((struct key *)data);
}

static int has(const void *data, int selection)
{
  const struct key *key = data;

  if (key == NULL || key->public_half == NULL) return 0;
  return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || key->id != NULL;
}

static int match(const void *left, const void *right, int selection)
{
  const struct key *a = left, *b = right;

  if (a->public_half == NULL || b->public_half == NULL) return 0;
  if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0) return EVP_PKEY_eq(a->public_half, b->public_half) == 1;
  return EVP_PKEY_parameters_eq(a->public_half, b->public_half) == 1;
}

static bool holds_private_half(const OSSL_PARAM params[])
{
  return OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_RSA_D) != NULL
         || OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PRIV_KEY) != NULL;
}

/*
 * OpenSSL imports a public key to compare it with ours. A private key of another provider is refused rather than
 * stripped: OpenSSL then signs with the provider that holds the key.
 */
static int import(void *data, int selection, const OSSL_PARAM params[])
{
  struct key *key = data;
  EVP_PKEY_CTX *context;
  int done;

  (void)selection;
  if (key->public_half != NULL) return FAIL(key->provider, REASON_NOT_SUPPORTED, "the key has a public half already");
  if (holds_private_half(params)) return FAIL(key->provider, REASON_NOT_SUPPORTED, "importing a private key");
  context = EVP_PKEY_CTX_new_from_name(key->provider->libctx, key_type_names[key->type], OTHER_PROVIDERS);
  done = context != NULL && EVP_PKEY_fromdata_init(context) > 0
         && EVP_PKEY_fromdata(context, &key->public_half, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params) > 0;
  EVP_PKEY_CTX_free(context);
  return done;
}

/* Must fail whenever the private half is requested: otherwise another provider would try to sign with half a key. */
static int export(void *data, int selection, OSSL_CALLBACK *callback, void *argument)
{
  struct key *key = data;
  OSSL_PARAM *params = NULL;
  int done;

  if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
    return FAIL(key->provider, REASON_NOT_EXPORTABLE, "key \"%s\"", key->id == NULL ? "" : key->id);
  if (key->public_half == NULL || EVP_PKEY_todata(key->public_half, EVP_PKEY_PUBLIC_KEY, &params) <= 0) return 0;
  done = callback(params, argument);
  OSSL_PARAM_free(params);
  return done;
}

static const OSSL_PARAM *rsa_types(int selection)
{
  static const OSSL_PARAM types[] = {
    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
    OSSL_PARAM_END,
  };
  (void)selection;
  return types;
}

static const OSSL_PARAM *ec_types(int selection)
{
  static const OSSL_PARAM types[] = {
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
    OSSL_PARAM_END,
  };
  (void)selection;
  return types;
}

static const OSSL_PARAM *ed25519_types(int selection)
{
  static const OSSL_PARAM types[] = {
    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
    OSSL_PARAM_END,
  };
  (void)selection;
  return types;
}

static const OSSL_PARAM *gettable_params(void *context)
{
  static const OSSL_PARAM params[] = {
    OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
    OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
    OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
    OSSL_PARAM_END,
  };
  (void)context;
  return params;
}

/* Everything that OpenSSL asks about a key is known from its public half. */
static int get_params(void *data, OSSL_PARAM params[])
{
  struct key *key = data;

  return key->public_half != NULL && EVP_PKEY_get_params(key->public_half, params);
}

static const char *ec_operation_name(int operation)
{
  return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define COMMON_FUNCTIONS(new, types)                                                                             \
  FUNCTION(OSSL_FUNC_KEYMGMT_NEW, new), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),                              \
    FUNCTION(OSSL_FUNC_KEYMGMT_LOAD, load), FUNCTION(OSSL_FUNC_KEYMGMT_DUP, duplicate),                          \
    FUNCTION(OSSL_FUNC_KEYMGMT_HAS, has), FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, match),                              \
    FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, import), FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, types),                 \
    FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, export), FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, types),                 \
    FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, get_params), FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, gettable_params)

const OSSL_DISPATCH key_rsa_functions[] = { COMMON_FUNCTIONS(new_rsa, rsa_types), END_OF_FUNCTIONS };
const OSSL_DISPATCH key_ec_functions[] = {
  COMMON_FUNCTIONS(new_ec, ec_types),
  FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation_name),
  END_OF_FUNCTIONS,
};
const OSSL_DISPATCH key_ed25519_functions[] = { COMMON_FUNCTIONS(new_ed25519, ed25519_types), END_OF_FUNCTIONS };
