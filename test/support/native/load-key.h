/* Loads the key `iotedge:<id>`, as programs with OpenSSL do. */
#include <openssl/evp.h>
#include <openssl/store.h>
#include <stdio.h>

static EVP_PKEY *load(const char *id)
{
  char uri[256];
  OSSL_STORE_CTX *store;
  OSSL_STORE_INFO *info;
  EVP_PKEY *key;

  snprintf(uri, sizeof uri, "iotedge:%s", id);
  store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
  info = store == NULL ? NULL : OSSL_STORE_load(store);
  key = info == NULL ? NULL : OSSL_STORE_INFO_get1_PKEY(info);
  OSSL_STORE_INFO_free(info);
  OSSL_STORE_close(store);
  return key;
}
