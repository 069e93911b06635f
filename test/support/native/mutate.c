/*
 * Reads a PEM from standard input and decodes it ROUNDS times with some of its octets changed, below the PEM or in it.
 * Prints how many were accepted and how many refused; the sanitizers report everything else.
 *
 * usage: mutate ROUNDS SEED
 */
#include <openssl/bio.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_SIZE_MAX 4096

static uint64_t state;

static uint64_t next(void)
{
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

/* Sets, flips, removes or duplicates octets, or replaces them by octets that are significant in DER. */
static size_t change(unsigned char *bytes, size_t length)
{
  static const unsigned char telling[] = { 0x00, 0x01, 0x03, 0x04, 0x0c, 0x30, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xa0, 0xff };

  for (uint64_t left = next() % 4; left > 0 && length > 1; left--) {
    size_t at = next() % length;

    switch (next() % 5) {
      case 0: bytes[at] = (unsigned char)next(); break;
      case 1: bytes[at] ^= (unsigned char)(1 << next() % 8); break;
      case 2: bytes[at] = telling[next() % sizeof telling]; break;
      case 3: memmove(bytes + at, bytes + at + 1, --length - at); break;
      default: memmove(bytes + at + 1, bytes + at, length++ - at); break;
    }
  }
  return length;
}

static bool decode(const void *pem, size_t length)
{
  EVP_PKEY *key = NULL;
  OSSL_DECODER_CTX *context = OSSL_DECODER_CTX_new_for_pkey(&key, NULL, NULL, NULL, EVP_PKEY_KEYPAIR, NULL, NULL);
  BIO *bio = BIO_new_mem_buf(pem, (int)length);
  bool taken = context != NULL && bio != NULL && OSSL_DECODER_from_bio(context, bio);

  BIO_free(bio);
  OSSL_DECODER_CTX_free(context);
  EVP_PKEY_free(key);
  ERR_clear_error();
  return taken;
}

/* Half of the time the content is changed and encoded as PEM again, otherwise the text itself. */
static bool decode_changed(const char *pem, size_t pem_length, const unsigned char *der, size_t der_length)
{
  unsigned char bytes[PEM_SIZE_MAX + 8];
  BIO *bio;
  char *text;
  long length;
  bool taken;

  if (next() % 2 == 0) {
    memcpy(bytes, pem, pem_length);
    return decode(bytes, change(bytes, pem_length));
  }
  memcpy(bytes, der, der_length);
  bio = BIO_new(BIO_s_mem());
  if (bio == NULL || PEM_write_bio(bio, "IOTEDGE KEY", "", bytes, (long)change(bytes, der_length)) <= 0) abort();
  length = BIO_get_mem_data(bio, &text);
  taken = decode(text, (size_t)length);
  BIO_free(bio);
  return taken;
}

int main(int argc, char **argv)
{
  static char pem[PEM_SIZE_MAX];
  size_t length = fread(pem, 1, sizeof pem, stdin);
  BIO *bio = BIO_new_mem_buf(pem, (int)length);
  char *label = NULL, *header = NULL;
  unsigned char *der = NULL;
  long der_length = 0, taken = 0, rounds = argc == 3 ? atol(argv[1]) : 0;

  state = argc == 3 ? strtoull(argv[2], NULL, 10) * 2 + 1 : 1;
  if (rounds <= 0 || PEM_read_bio(bio, &label, &header, &der, &der_length) <= 0 || !decode(pem, length)) return 2;
  for (long round = 0; round < rounds; round++)
    taken += decode_changed(pem, length, der, (size_t)der_length);
  printf("%ld taken, %ld refused\n", taken, rounds - taken);
  OPENSSL_free(label);
  OPENSSL_free(header);
  OPENSSL_free(der);
  BIO_free(bio);
  return 0;
}
