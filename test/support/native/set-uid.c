/* Asks the Keys service for a public key, as a program does that may run set-uid. Exits 0 when it was answered. */
#include <stdio.h>

#include "keys-client.h"

int main(void)
{
  unsigned char bytes[8192];
  struct buffer spki = { bytes, sizeof bytes, 0 };
  struct failure failure = { "" };

  if (keys_get_public_key("a", &spki, &failure)) return 0;
  fprintf(stderr, "%s\n", failure.text);
  return 1;
}
