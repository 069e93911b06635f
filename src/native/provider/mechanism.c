/* Names and AlgorithmIdentifiers (RFC 3279, 4055, 5758, 8410), the latter as in certificates and requests. */
#include "mechanism.h"

#define OID_PKCS1 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01
#define HASH_SEQUENCE(arc) 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, (arc), 0x05, 0x00
#define ECDSA_IDENTIFIER(arc) { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, (arc) }
#define RSA_PKCS1_IDENTIFIER(arc) { 0x30, 0x0d, OID_PKCS1, (arc), 0x05, 0x00 }
/* RSASSA-PSS-params: the hash, MGF1 with the same, the length of the salt */
#define RSA_PSS_IDENTIFIER(arc, salt)                                                              \
  {                                                                                                \
    0x30, 0x41, OID_PKCS1, 0x0a, 0x30, 0x34, 0xa0, 0x0f, HASH_SEQUENCE(arc), 0xa1, 0x1c, 0x30, 0x1a, \
      OID_PKCS1, 0x08, HASH_SEQUENCE(arc), 0xa2, 0x03, 0x02, 0x01, (salt)                          \
  }

static const unsigned char ecdsa_sha256[] = ECDSA_IDENTIFIER(2);
static const unsigned char ecdsa_sha384[] = ECDSA_IDENTIFIER(3);
static const unsigned char ecdsa_sha512[] = ECDSA_IDENTIFIER(4);
static const unsigned char rsa_pkcs1_sha256[] = RSA_PKCS1_IDENTIFIER(11);
static const unsigned char rsa_pkcs1_sha384[] = RSA_PKCS1_IDENTIFIER(12);
static const unsigned char rsa_pkcs1_sha512[] = RSA_PKCS1_IDENTIFIER(13);
static const unsigned char rsa_pss_sha256[] = RSA_PSS_IDENTIFIER(1, 32);
static const unsigned char rsa_pss_sha384[] = RSA_PSS_IDENTIFIER(2, 48);
static const unsigned char rsa_pss_sha512[] = RSA_PSS_IDENTIFIER(3, 64);
static const unsigned char ed25519[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70 };

#define DER(bytes) { (bytes), sizeof(bytes) }
#define HASH(name, size, suffix)                                                        \
  {                                                                                     \
    (name), (size), { "ecdsa-" #suffix, "rsa-pkcs1-" #suffix, "rsa-pss-" #suffix },     \
      { DER(ecdsa_##suffix), DER(rsa_pkcs1_##suffix), DER(rsa_pss_##suffix) },          \
  }

static const struct hash hashes[] = {
  HASH("SHA2-256", 32, sha256),
  HASH("SHA2-384", 48, sha384),
  HASH("SHA2-512", 64, sha512),
};
#define HASHES (sizeof hashes / sizeof hashes[0])

const struct algorithm_identifier ed25519_identifier = DER(ed25519);

const struct hash *hash_of_digest(const EVP_MD *md)
{
  for (size_t i = 0; i < HASHES; i++)
    if (EVP_MD_is_a(md, hashes[i].name)) return &hashes[i];
  return NULL;
}

const struct hash *hash_of_size(size_t size)
{
  for (size_t i = 0; i < HASHES; i++)
    if (hashes[i].size == size) return &hashes[i];
  return NULL;
}
