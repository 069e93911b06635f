/* The hashes and signature schemes of the Keys service, by the names of OpenSSL and of the bus. */
#ifndef IOTEDGE_KEYS_MECHANISM_H
#define IOTEDGE_KEYS_MECHANISM_H

#include <openssl/evp.h>
#include <stddef.h>

enum scheme { SCHEME_ECDSA, SCHEME_RSA_PKCS1, SCHEME_RSA_PSS, SCHEMES };

struct algorithm_identifier {
  const unsigned char *der;
  size_t length;
};

struct hash {
  const char *name; /* as OpenSSL spells it */
  size_t size;
  const char *mechanisms[SCHEMES]; /* as the bus spells them */
  struct algorithm_identifier identifiers[SCHEMES];
};

/* NULL for a hash that the Keys service does not sign with. */
const struct hash *hash_of_digest(const EVP_MD *md);
const struct hash *hash_of_size(size_t size);

extern const struct algorithm_identifier ed25519_identifier;

#endif
