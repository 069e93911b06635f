/* The parameters of a signature that programs set, and those that OpenSSL queries. */
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "signature.h"

#define NAME_SIZE 64

/* RSA_PSS_SALTLEN_AUTO_DIGEST_MAX of OpenSSL 3.1 */
#define SALT_AUTO_DIGEST_MAX (-4)

enum scheme signature_scheme(const struct signature *signature)
{
  if (signature->key->type == KEY_EC) return SCHEME_ECDSA;
  return signature->padding == RSA_PKCS1_PSS_PADDING ? SCHEME_RSA_PSS : SCHEME_RSA_PKCS1;
}

static EVP_MD *fetch_digest(const struct signature *signature, const char *name, const struct hash **hash)
{
  EVP_MD *md = EVP_MD_fetch(signature->provider->libctx, name, OTHER_PROVIDERS);

  *hash = md == NULL ? NULL : hash_of_digest(md);
  if (*hash != NULL) return md;
  EVP_MD_free(md);
  FAIL(signature->provider, REASON_NOT_SUPPORTED, "digest %s", name);
  return NULL;
}

int signature_set_digest(struct signature *signature, const char *name)
{
  const struct hash *hash;
  EVP_MD *md = fetch_digest(signature, name, &hash);

  if (md == NULL) return 0;
  EVP_MD_free(signature->md);
  signature->md = md;
  signature->hash = hash;
  return 1;
}

static int get_text(const OSSL_PARAM *param, char text[NAME_SIZE])
{
  return OSSL_PARAM_get_utf8_string(param, &text, NAME_SIZE);
}

static int set_digest(struct signature *signature, const OSSL_PARAM *param)
{
  char name[NAME_SIZE];

  return get_text(param, name) && signature_set_digest(signature, name);
}

static int set_mgf1_digest(struct signature *signature, const OSSL_PARAM *param)
{
  char name[NAME_SIZE];
  EVP_MD *md;

  if (!get_text(param, name)) return 0;
  md = fetch_digest(signature, name, &signature->mgf1_hash);
  EVP_MD_free(md);
  return md != NULL;
}

static int set_padding(struct signature *signature, const OSSL_PARAM *param)
{
  char name[NAME_SIZE];
  int padding = 0;

  if (param->data_type == OSSL_PARAM_INTEGER) {
    if (!OSSL_PARAM_get_int(param, &padding)) return 0;
  } else {
    if (!get_text(param, name)) return 0;
    if (strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0) padding = RSA_PKCS1_PADDING;
    if (strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0) padding = RSA_PKCS1_PSS_PADDING;
  }
  if (padding != RSA_PKCS1_PADDING && padding != RSA_PKCS1_PSS_PADDING)
    return FAIL(signature->provider, REASON_NOT_SUPPORTED, "paddings other than PKCS #1 v1.5 and PSS");
  signature->padding = padding;
  return 1;
}

static int parse_salt_length(const char *text, int *length)
{
  char *end;
  long number;

  if (strcmp(text, "digest") == 0) *length = RSA_PSS_SALTLEN_DIGEST;
  else if (strcmp(text, "auto") == 0) *length = RSA_PSS_SALTLEN_AUTO;
  else if (strcmp(text, "auto-digestmax") == 0) *length = SALT_AUTO_DIGEST_MAX;
  else if (strcmp(text, "max") == 0) *length = RSA_PSS_SALTLEN_MAX;
  else {
    number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < SALT_AUTO_DIGEST_MAX || number > EVP_MAX_MD_SIZE) return 0;
    *length = (int)number;
  }
  return 1;
}

static int set_salt_length(struct signature *signature, const OSSL_PARAM *param)
{
  char text[NAME_SIZE];

  int length;
  bool known = param->data_type == OSSL_PARAM_INTEGER ? OSSL_PARAM_get_int(param, &length)
                                                      : get_text(param, text) && parse_salt_length(text, &length);

  /* the maximum salt length depends on the key, and the service only uses salts of the digest's length */
  if (!known || length == RSA_PSS_SALTLEN_MAX || length < SALT_AUTO_DIGEST_MAX)
    return FAIL(signature->provider, REASON_NOT_SUPPORTED, "this length of a PSS salt");
  signature->salt_length = length;
  return 1;
}

bool signature_has_usual_pss(const struct signature *signature)
{
  const struct hash *hash = signature->hash;

  if (hash == NULL || (signature->mgf1_hash != NULL && signature->mgf1_hash != hash)) return false;
  switch (signature->salt_length) {
    case RSA_PSS_SALTLEN_DIGEST:
    case RSA_PSS_SALTLEN_AUTO:
    case SALT_AUTO_DIGEST_MAX: return true;
    default: return signature->salt_length >= 0 && (size_t)signature->salt_length == hash->size;
  }
}

static const struct {
  const char *name;
  int (*set)(struct signature *signature, const OSSL_PARAM *param);
} setters[] = {
  { OSSL_SIGNATURE_PARAM_DIGEST, set_digest },
  { OSSL_SIGNATURE_PARAM_PAD_MODE, set_padding },
  { OSSL_SIGNATURE_PARAM_PSS_SALTLEN, set_salt_length },
  { OSSL_SIGNATURE_PARAM_MGF1_DIGEST, set_mgf1_digest },
};

int signature_set_params(void *context, const OSSL_PARAM params[])
{
  struct signature *signature = context;

  if (params == NULL) return 1;
  if (signature->verifier != NULL) return EVP_PKEY_CTX_set_params(signature->verifier, params);
  if (signature->digest_verifier != NULL)
    return EVP_PKEY_CTX_set_params(EVP_MD_CTX_get_pkey_ctx(signature->digest_verifier), params);
  for (size_t i = 0; i < sizeof setters / sizeof setters[0]; i++) {
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, setters[i].name);

    if (param != NULL && !setters[i].set(signature, param)) return 0;
  }
  return 1;
}

const OSSL_PARAM *signature_settable_params(void *context, void *provider)
{
  static const OSSL_PARAM params[] = {
    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PROPERTIES, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_PROPERTIES, NULL, 0),
    OSSL_PARAM_END,
  };
  (void)context;
  (void)provider;
  return params;
}

/* NULL for a scheme that certificates and requests cannot name, or that is not supported. */
static const struct algorithm_identifier *identifier(const struct signature *signature)
{
  enum scheme scheme;

  if (signature->key == NULL) return NULL;
  if (signature->key->type == KEY_ED25519) return &ed25519_identifier;
  scheme = signature_scheme(signature);
  if (signature->hash == NULL || (scheme == SCHEME_RSA_PSS && !signature_has_usual_pss(signature))) return NULL;
  return &signature->hash->identifiers[scheme];
}

static int get_identifier(const struct signature *signature, OSSL_PARAM *param)
{
  const struct algorithm_identifier *found = identifier(signature);

  if (found == NULL) return FAIL(signature->provider, REASON_NOT_SUPPORTED, "AlgorithmIdentifier of this signature");
  return OSSL_PARAM_set_octet_string(param, found->der, found->length);
}

static int get_padding(const struct signature *signature, OSSL_PARAM *param)
{
  bool pss = signature->padding == RSA_PKCS1_PSS_PADDING;

  if (param->data_type == OSSL_PARAM_INTEGER) return OSSL_PARAM_set_int(param, signature->padding);
  return OSSL_PARAM_set_utf8_string(param, pss ? OSSL_PKEY_RSA_PAD_MODE_PSS : OSSL_PKEY_RSA_PAD_MODE_PKCSV15);
}

static int get_salt_length(const struct signature *signature, OSSL_PARAM *param)
{
  if (param->data_type == OSSL_PARAM_INTEGER) return OSSL_PARAM_set_int(param, signature->salt_length);
  return OSSL_PARAM_set_utf8_string(param, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST);
}

static int get_digest(const struct signature *signature, OSSL_PARAM *param)
{
  return OSSL_PARAM_set_utf8_string(param, signature->md == NULL ? "" : EVP_MD_get0_name(signature->md));
}

static const struct {
  const char *name;
  int (*get)(const struct signature *signature, OSSL_PARAM *param);
} getters[] = {
  { OSSL_SIGNATURE_PARAM_ALGORITHM_ID, get_identifier },
  { OSSL_SIGNATURE_PARAM_DIGEST, get_digest },
  { OSSL_SIGNATURE_PARAM_PAD_MODE, get_padding },
  { OSSL_SIGNATURE_PARAM_PSS_SALTLEN, get_salt_length },
};

int signature_get_params(void *context, OSSL_PARAM params[])
{
  for (size_t i = 0; i < sizeof getters / sizeof getters[0]; i++) {
    OSSL_PARAM *param = OSSL_PARAM_locate(params, getters[i].name);

    if (param != NULL && !getters[i].get(context, param)) return 0;
  }
  return 1;
}

const OSSL_PARAM *signature_gettable_params(void *context, void *provider)
{
  static const OSSL_PARAM params[] = {
    OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
    OSSL_PARAM_END,
  };
  (void)context;
  (void)provider;
  return params;
}
