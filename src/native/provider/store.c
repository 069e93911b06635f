/* Loads `iotedge:<key id>`: the public half comes from the Keys service. */
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "keys-client.h"
#include "provider.h"

#define SCHEME "iotedge:"
#define SPKI_SIZE_MAX 8192

struct store {
  const struct provider *provider;
  bool finished;
  char id[]; /* NUL-terminated */
};

static void *open_uri(void *context, const char *uri)
{
  const struct provider *provider = context;
  struct store *store;
  const char *id = uri + strlen(SCHEME);
  size_t length;

  if (strncasecmp(uri, SCHEME, strlen(SCHEME)) != 0) return NULL;
  length = strlen(id);
  if (!key_id_is_valid(id, length)) {
    FAIL(provider, REASON_INVALID_KEY_ID, "the part after " SCHEME);
    return NULL;
  }
  store = malloc(sizeof *store + length + 1);
  if (store == NULL) {
    FAIL(provider, REASON_OUT_OF_MEMORY, "store");
    return NULL;
  }
  store->provider = provider;
  store->finished = false;
  memcpy(store->id, id, length + 1);
  return store;
}

static int load(void *context, OSSL_CALLBACK *callback, void *argument, OSSL_PASSPHRASE_CALLBACK *passphrase,
                void *passphrase_argument)
{
  struct store *store = context;
  unsigned char bytes[SPKI_SIZE_MAX];
  struct buffer spki = { bytes, sizeof bytes, 0 };
  struct failure failure;
  struct key *key;

  (void)passphrase;
  (void)passphrase_argument;
  if (store->finished) return 0;
  store->finished = true;
  if (!keys_get_public_key(store->id, &spki, &failure))
    return FAIL(store->provider, reason_of_failure(), "GetPublicKey \"%s\": %s", store->id, failure.text);
  key = key_from_spki(store->provider, &(struct key_file){ .id = store->id, .id_length = strlen(store->id), .spki = spki.bytes, .spki_length = spki.length });
  return key != NULL && key_emit(key, callback, argument);
}

static int is_at_end(void *context)
{
  return ((struct store *)context)->finished;
}

static int close_store(void *context)
{
  free(context);
  return 1;
}

/* A caller that expects only certificates finds none, without a call of the service. */
static int set_params(void *context, const OSSL_PARAM params[])
{
  struct store *store = context;
  const OSSL_PARAM *expect = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);
  int type = 0;

  if (expect == NULL) return 1;
  if (!OSSL_PARAM_get_int(expect, &type)) return 0;
  if (type != 0 && type != OSSL_STORE_INFO_PKEY && type != OSSL_STORE_INFO_PUBKEY) store->finished = true;
  return 1;
}

static const OSSL_PARAM *settable_params(void *context)
{
  static const OSSL_PARAM params[] = { OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL), OSSL_PARAM_END };

  (void)context;
  return params;
}

const OSSL_DISPATCH store_functions[] = {
  FUNCTION(OSSL_FUNC_STORE_OPEN, open_uri),
  FUNCTION(OSSL_FUNC_STORE_LOAD, load),
  FUNCTION(OSSL_FUNC_STORE_EOF, is_at_end),
  FUNCTION(OSSL_FUNC_STORE_CLOSE, close_store),
  FUNCTION(OSSL_FUNC_STORE_SET_CTX_PARAMS, set_params),
  FUNCTION(OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS, settable_params),
  END_OF_FUNCTIONS,
};
