/* One signing or verifying operation, shared by the files that implement it. */
#ifndef IOTEDGE_KEYS_SIGNATURE_H
#define IOTEDGE_KEYS_SIGNATURE_H

#include "mechanism.h"
#include "provider.h"

struct signature {
  const struct provider *provider;
  struct key *key;
  /* signing */
  const struct hash *hash;      /* NULL until a digest is named */
  const struct hash *mgf1_hash; /* NULL: the same as `hash` */
  EVP_MD *md;
  EVP_MD_CTX *digest;
  int padding;
  int salt_length;
  /* verifying, delegated to another provider */
  EVP_PKEY_CTX *verifier;
  EVP_MD_CTX *digest_verifier;
};

/* signature.c */
void *signature_new(void *context, const char *properties);
void signature_free(void *context);
void *signature_duplicate(void *context);
int signature_take_key(struct signature *signature, struct key *key);

/* signature-params.c */
enum scheme signature_scheme(const struct signature *signature);
int signature_set_digest(struct signature *signature, const char *name);
int signature_set_params(void *context, const OSSL_PARAM params[]);
int signature_get_params(void *context, OSSL_PARAM params[]);
const OSSL_PARAM *signature_settable_params(void *context, void *provider);
const OSSL_PARAM *signature_gettable_params(void *context, void *provider);
/* Whether the PSS parameters are those that the Keys service signs with: one hash, and a salt of its length. */
bool signature_has_usual_pss(const struct signature *signature);

/* signature-verify.c */
int signature_verify_init(void *context, void *key, const OSSL_PARAM params[]);
int signature_verify(void *context, const unsigned char *sig, size_t sig_length, const unsigned char *data,
                     size_t data_length);
int signature_digest_verify_init(void *context, const char *digest, void *key, const OSSL_PARAM params[]);
int signature_digest_verify_update(void *context, const unsigned char *data, size_t length);
int signature_digest_verify_final(void *context, const unsigned char *sig, size_t length);
int signature_digest_verify(void *context, const unsigned char *sig, size_t sig_length, const unsigned char *data,
                            size_t data_length);

#endif
