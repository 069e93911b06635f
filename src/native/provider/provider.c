/* The entry point of the provider: its algorithms, and its error reporting. */
#include "provider.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <stdarg.h>
#include <stdlib.h>

#include "keys-client.h"

#define RSA_NAMES "RSA:rsaEncryption:1.2.840.113549.1.1.1"
#define EC_NAMES "EC:id-ecPublicKey:1.2.840.10045.2.1"
#define ED25519_NAMES "ED25519:1.3.101.112"
#define OURS "provider=" PROVIDER_NAME
#define FROM_KEY_FILE OURS ",input=der,structure=iotedge-key"

OSSL_provider_init_fn OSSL_provider_init;

static const OSSL_ALGORITHM key_managements[] = {
  { RSA_NAMES, OURS, key_rsa_functions, "RSA keys in the Keys service" },
  { EC_NAMES, OURS, key_ec_functions, "EC keys in the Keys service" },
  { ED25519_NAMES, OURS, key_ed25519_functions, "Ed25519 keys in the Keys service" },
  { NULL, NULL, NULL, NULL },
};
static const OSSL_ALGORITHM signatures[] = {
  { RSA_NAMES, OURS, signature_functions, "RSA signatures by the Keys service" },
  { "ECDSA", OURS, signature_functions, "ECDSA signatures by the Keys service" },
  { ED25519_NAMES, OURS, signature_ed25519_functions, "Ed25519 signatures by the Keys service" },
  { NULL, NULL, NULL, NULL },
};
static const OSSL_ALGORITHM decoders[] = {
  { "DER", OURS ",input=pem", decoder_pem_functions, "IOTEDGE KEY PEM" },
  { RSA_NAMES, FROM_KEY_FILE, decoder_rsa_functions, "key file of an RSA key" },
  { EC_NAMES, FROM_KEY_FILE, decoder_ec_functions, "key file of an EC key" },
  { ED25519_NAMES, FROM_KEY_FILE, decoder_ed25519_functions, "key file of an Ed25519 key" },
  { NULL, NULL, NULL, NULL },
};
static const OSSL_ALGORITHM stores[] = {
  { "iotedge", OURS, store_functions, "iotedge:<key id>" },
  { NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache)
{
  (void)context;
  *no_cache = 0;
  switch (operation) {
    case OSSL_OP_KEYMGMT: return key_managements;
    case OSSL_OP_SIGNATURE: return signatures;
    case OSSL_OP_DECODER: return decoders;
    case OSSL_OP_STORE: return stores;
    default: return NULL;
  }
}

/* No reason may contain a colon: OpenSSL separates the parts of an error with it, and programs split errors there. */
static const OSSL_ITEM reasons[] = {
  { REASON_OUT_OF_MEMORY, "out of memory" },
  { REASON_DAMAGED_KEY_FILE, "damaged key file" },
  { REASON_INVALID_KEY_ID, "invalid key id" },
  { REASON_INVALID_PUBLIC_KEY, "invalid public key" },
  { REASON_NOT_EXPORTABLE, "private keys stay in the Keys service" },
  { REASON_NO_PRIVATE_KEY, "no private key" },
  { REASON_NOT_SUPPORTED, "not supported" },
  { REASON_INVALID_LENGTH, "invalid length" },
  { REASON_KEYS_SERVICE, "the Keys service failed" },
  { REASON_ACCESS_DENIED, "the Keys service denies access to the key" },
  { REASON_NOT_FOUND, "the Keys service has no such key" },
  { REASON_REPLACED, "the key was replaced, make its key file anew" },
  { REASON_UNAVAILABLE, "the key or the Keys service is unavailable" },
  { REASON_TIMED_OUT, "the Keys service did not answer in time" },
  { 0, NULL },
};

static const OSSL_ITEM *reason_strings(void *context)
{
  (void)context;
  return reasons;
}

enum reason reason_of_failure(void)
{
  switch (keys_failure_kind()) {
    case FAILURE_ACCESS_DENIED: return REASON_ACCESS_DENIED;
    case FAILURE_NOT_FOUND: return REASON_NOT_FOUND;
    case FAILURE_REPLACED: return REASON_REPLACED;
    case FAILURE_NOT_SUPPORTED: return REASON_NOT_SUPPORTED;
    case FAILURE_UNAVAILABLE: return REASON_UNAVAILABLE;
    case FAILURE_TIMED_OUT: return REASON_TIMED_OUT;
    case FAILURE_OTHER: break;
  }
  return REASON_KEYS_SERVICE;
}

int provider_fail(const struct provider *provider, const char *function, enum reason reason, const char *format, ...)
{
  va_list arguments;

  provider->new_error(provider->handle);
  provider->set_error_debug(provider->handle, PROVIDER_NAME, 0, function);
  va_start(arguments, format);
  provider->vset_error(provider->handle, (uint32_t)reason, format, arguments);
  va_end(arguments);
  return 0;
}

static const OSSL_PARAM *gettable_params(void *context)
{
  static const OSSL_PARAM params[] = {
    OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, NULL, 0),
    OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_VERSION, NULL, 0),
    OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, NULL),
    OSSL_PARAM_END,
  };
  (void)context;
  return params;
}

static int get_params(void *context, OSSL_PARAM params[])
{
  OSSL_PARAM *name = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME);
  OSSL_PARAM *version = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION);
  OSSL_PARAM *status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);

  (void)context;
  return (name == NULL || OSSL_PARAM_set_utf8_ptr(name, "keys of the IoT Edge Keys service"))
         && (version == NULL || OSSL_PARAM_set_utf8_ptr(version, "1"))
         && (status == NULL || OSSL_PARAM_set_int(status, 1));
}

static void teardown(void *context)
{
  struct provider *provider = context;

  keys_client_close();
  OSSL_LIB_CTX_free(provider->libctx);
  free(provider);
}

static const OSSL_DISPATCH provider_functions[] = {
  FUNCTION(OSSL_FUNC_PROVIDER_TEARDOWN, teardown),
  FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
  FUNCTION(OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, gettable_params),
  FUNCTION(OSSL_FUNC_PROVIDER_GET_PARAMS, get_params),
  FUNCTION(OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, reason_strings),
  END_OF_FUNCTIONS,
};

static void find_core_functions(struct provider *provider, const OSSL_DISPATCH *in)
{
  for (; in->function_id != 0; in++) {
    switch (in->function_id) {
      case OSSL_FUNC_CORE_NEW_ERROR: provider->new_error = OSSL_FUNC_core_new_error(in); break;
      case OSSL_FUNC_CORE_SET_ERROR_DEBUG: provider->set_error_debug = OSSL_FUNC_core_set_error_debug(in); break;
      case OSSL_FUNC_CORE_VSET_ERROR: provider->vset_error = OSSL_FUNC_core_vset_error(in); break;
      default: break;
    }
  }
}

/* The one symbol that OpenSSL looks for in a module; the addon passes it to OSSL_PROVIDER_add_builtin. */
__attribute__((visibility("default"))) int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                                                              const OSSL_DISPATCH **out, void **context)
{
  struct provider *provider = calloc(1, sizeof *provider);

  if (provider == NULL) return 0;
  provider->handle = handle;
  find_core_functions(provider, in);
  /* mirrors the providers of the library context that loaded us, so that our fetches find the same ones */
  provider->libctx = OSSL_LIB_CTX_new_child(handle, in);
  if (provider->libctx == NULL || provider->new_error == NULL || provider->set_error_debug == NULL
      || provider->vset_error == NULL) {
    OSSL_LIB_CTX_free(provider->libctx);
    free(provider);
    return 0;
  }
  *out = provider_functions;
  *context = provider;
  return 1;
}
