/*
 * Parses key files from standard input, each after its length (32 bits, little endian) and each in memory of exactly that
 * size, so that AddressSanitizer sees every octet that is read beyond it. Prints a line for each: `refused`, or the id,
 * the length of the public half and the id of the request, or `-`.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "provider.h"

static void print(const unsigned char *der, size_t length)
{
  struct key_file file;

  if (!key_file_parse(der, length, &file)) {
    puts("refused");
    return;
  }
  printf("%.*s %zu ", (int)file.id_length, file.id, file.spki_length);
  if (file.request_id == NULL)
    puts("-");
  else
    printf("%.*s\n", (int)file.request_id_length, file.request_id);
}

int main(void)
{
  unsigned char header[4];

  while (fread(header, 1, sizeof header, stdin) == sizeof header) {
    size_t length = header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16 | (size_t)header[3] << 24;
    unsigned char *der = malloc(length);

    if (der == NULL || fread(der, 1, length, stdin) != length) return 1;
    print(der, length);
    free(der);
  }
  return 0;
}
