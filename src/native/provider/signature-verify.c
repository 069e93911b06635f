/* Verifying needs only the public half: the operation is delegated to another provider. */
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "signature.h"

int signature_verify_init(void *context, void *key, const OSSL_PARAM params[])
{
  struct signature *signature = context;

  if (!signature_take_key(signature, key)) return 0;
  EVP_PKEY_CTX_free(signature->verifier);
  signature->verifier =
    EVP_PKEY_CTX_new_from_pkey(signature->provider->libctx, signature->key->public_half, OTHER_PROVIDERS);
  return signature->verifier != NULL && EVP_PKEY_verify_init_ex(signature->verifier, params) > 0;
}

int signature_verify(void *context, const unsigned char *sig, size_t sig_length, const unsigned char *data,
                     size_t data_length)
{
  struct signature *signature = context;

  return EVP_PKEY_verify(signature->verifier, sig, sig_length, data, data_length) == 1;
}

int signature_digest_verify_init(void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
  struct signature *signature = context;
  const char *name = digest != NULL && *digest != '\0' ? digest : NULL;

  if (!signature_take_key(signature, key)) return 0;
  EVP_MD_CTX_free(signature->digest_verifier);
  signature->digest_verifier = EVP_MD_CTX_new();
  return signature->digest_verifier != NULL
         && EVP_DigestVerifyInit_ex(signature->digest_verifier, NULL, name, signature->provider->libctx,
                                    OTHER_PROVIDERS, signature->key->public_half, params)
              > 0;
}

int signature_digest_verify_update(void *context, const unsigned char *data, size_t length)
{
  struct signature *signature = context;

  return signature->digest_verifier != NULL && EVP_DigestVerifyUpdate(signature->digest_verifier, data, length);
}

int signature_digest_verify_final(void *context, const unsigned char *sig, size_t length)
{
  struct signature *signature = context;

  return signature->digest_verifier != NULL
         && EVP_DigestVerifyFinal(signature->digest_verifier, sig, length) == 1;
}

int signature_digest_verify(void *context, const unsigned char *sig, size_t sig_length, const unsigned char *data,
                            size_t data_length)
{
  struct signature *signature = context;

  return signature->digest_verifier != NULL
         && EVP_DigestVerify(signature->digest_verifier, sig, sig_length, data, data_length) == 1;
}
