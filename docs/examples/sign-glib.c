/*
 * Signs standard input with a key of org.iotedge.Keys1, which is made when it is not there yet; with GLib.
 * The functions edge_keys1_* are made of the installed interface:
 *
 *   gdbus-codegen --generate-c-code keys1 --c-namespace Edge --interface-prefix org.iotedge. \
 *     /usr/share/dbus-1/interfaces/org.iotedge.Keys1.xml
 *   cc -Wall -o sign sign-glib.c keys1.c $(pkg-config --cflags --libs gio-unix-2.0)
 *
 *   ./sign my-key ecdsa-sha256 < message > signature
 */
#include <stdio.h>
#include <stdlib.h>

#include "keys1.h"

static GError *error = NULL;

static void must(gboolean good) {
  if (good) return;
  char *name = g_dbus_error_get_remote_error(error);
  fprintf(stderr, "%s: %s\n", name != NULL ? name : "no answer", error->message);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  EdgeKeys1 *keys = edge_keys1_proxy_new_for_bus_sync(
      G_BUS_TYPE_SYSTEM, G_DBUS_PROXY_FLAGS_NONE, "org.iotedge.Keys1", "/org/iotedge/Keys1", NULL, &error);
  must(keys != NULL);

  /* every method takes a dictionary of options last; here the one that keeps a key that is there */
  GVariantDict options;
  g_variant_dict_init(&options, NULL);
  g_variant_dict_insert(&options, "if_exists", "s", "keep");
  const gchar *const defaults[] = {NULL};
  gchar *path = NULL;
  must(edge_keys1_call_create_key_pair_sync(keys, argv[1], defaults, defaults,
                                            g_variant_dict_end(&options), &path, NULL, &error));

  static char message[1 << 20];
  size_t length = fread(message, 1, sizeof message, stdin);
  GVariant *data = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, message, length, 1);
  GVariant *none = g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0);
  GVariant *signature = NULL;
  must(edge_keys1_call_sign_sync(keys, argv[1], argv[2], data, none, &signature, NULL, &error));

  gsize size;
  gconstpointer bytes = g_variant_get_fixed_array(signature, &size, 1);
  return fwrite(bytes, 1, size, stdout) == size && fflush(stdout) == 0 ? 0 : 1;
}
