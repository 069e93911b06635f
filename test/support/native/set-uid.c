/* Requests a public key from the Keys service, in a program that may run set-uid. Exits with 0 on a reply. */
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
