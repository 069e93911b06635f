/* The Node addon: puts the provider into the OpenSSL that Node itself uses, without an openssl.cnf. */
#define NAPI_VERSION 8
#include <node_api.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdio.h>

#include "keys-client.h"
#include "provider.h"

OSSL_provider_init_fn OSSL_provider_init;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool loaded; /* once per process, by the first thread that asks for it */

/*
 * An unqualified fetch of "RSA" may otherwise find our key management, which cannot generate keys: prefer the default
 * provider for everything, but ours for its own keys. The same setting holds FIPS mode, which is preserved.
 */
static bool prefer_default_provider(void)
{
  int fips = EVP_default_properties_is_fips_enabled(NULL);

  if (!EVP_set_default_properties(NULL, "?provider=default")) return false;
  return !fips || EVP_default_properties_enable_fips(NULL, 1);
}

static bool load_once(void)
{
  if (loaded) return true;
  loaded = prefer_default_provider() && OSSL_PROVIDER_load(NULL, "default") != NULL
           && OSSL_PROVIDER_add_builtin(NULL, PROVIDER_NAME, OSSL_provider_init)
           && OSSL_PROVIDER_load(NULL, PROVIDER_NAME) != NULL;
  return loaded;
}

static napi_value load_provider(napi_env env, napi_callback_info info)
{
  char reason[256], message[300];
  bool done;

  (void)info;
  pthread_mutex_lock(&lock);
  done = load_once();
  pthread_mutex_unlock(&lock);
  if (!done) {
    ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
    ERR_clear_error();
    snprintf(message, sizeof message, "cannot load the provider " PROVIDER_NAME ": %s", reason);
    napi_throw_error(env, NULL, message);
  }
  return NULL;
}

static napi_value refuse_signatures(napi_env env, napi_callback_info info)
{
  napi_value argument;
  size_t count = 1;
  bool refuse;

  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok
      || napi_get_value_bool(env, argument, &refuse) != napi_ok)
    napi_throw_type_error(env, NULL, "a boolean is expected");
  else
    keys_client_refuse(refuse);
  return NULL;
}

static bool export_function(napi_env env, napi_value exports, const char *name, napi_callback callback)
{
  napi_value function;

  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &function) == napi_ok
         && napi_set_named_property(env, exports, name, function) == napi_ok;
}

NAPI_MODULE_INIT()
{
  if (!export_function(env, exports, "loadProvider", load_provider)
      || !export_function(env, exports, "refuseSignatures", refuse_signatures))
    return NULL;
  return exports;
}
