/*
 * Signs standard input with a key of org.iotedge.Keys1, which is made when it is not there yet; with libdbus.
 *
 *   cc -Wall -o sign sign-libdbus.c $(pkg-config --cflags --libs dbus-1)
 *
 *   ./sign my-key ecdsa-sha256 < message > signature
 */
#include <dbus/dbus.h>
#include <stdio.h>
#include <stdlib.h>

static DBusMessage *method(const char *member, DBusMessageIter *arguments) {
  DBusMessage *call = dbus_message_new_method_call("org.iotedge.Keys1", "/org/iotedge/Keys1",
                                                   "org.iotedge.Keys1", member);
  dbus_message_iter_init_append(call, arguments);
  return call;
}

static void append_text(DBusMessageIter *iter, const char *text) {
  dbus_message_iter_append_basic(iter, DBUS_TYPE_STRING, &text);
}

static void append_no_texts(DBusMessageIter *iter) {
  DBusMessageIter array;
  dbus_message_iter_open_container(iter, DBUS_TYPE_ARRAY, "s", &array);
  dbus_message_iter_close_container(iter, &array);
}

/* Every method takes a dictionary of options last; this one has a single option of type s, or none. */
static void append_options(DBusMessageIter *iter, const char *name, const char *value) {
  DBusMessageIter dictionary, entry, variant;
  dbus_message_iter_open_container(iter, DBUS_TYPE_ARRAY, "{sv}", &dictionary);
  if (name != NULL) {
    dbus_message_iter_open_container(&dictionary, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
    append_text(&entry, name);
    dbus_message_iter_open_container(&entry, DBUS_TYPE_VARIANT, "s", &variant);
    append_text(&variant, value);
    dbus_message_iter_close_container(&entry, &variant);
    dbus_message_iter_close_container(&dictionary, &entry);
  }
  dbus_message_iter_close_container(iter, &dictionary);
}

static DBusMessage *reply_to(DBusConnection *bus, DBusMessage *call) {
  DBusError error = DBUS_ERROR_INIT;
  DBusMessage *reply =
      dbus_connection_send_with_reply_and_block(bus, call, DBUS_TIMEOUT_USE_DEFAULT, &error);
  if (reply == NULL) {
    fprintf(stderr, "%s: %s\n", error.name, error.message);
    exit(1);
  }
  dbus_message_unref(call);
  return reply;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  DBusError error = DBUS_ERROR_INIT;
  DBusConnection *bus = dbus_bus_get(DBUS_BUS_SYSTEM, &error);
  if (bus == NULL) {
    fprintf(stderr, "%s: %s\n", error.name, error.message);
    return 1;
  }

  DBusMessageIter iter, array;
  DBusMessage *create = method("CreateKeyPair", &iter);
  append_text(&iter, argv[1]);
  append_no_texts(&iter);
  append_no_texts(&iter);
  append_options(&iter, "if_exists", "keep");
  dbus_message_unref(reply_to(bus, create));

  static char message[1 << 20];
  const char *bytes = message;
  int length = (int)fread(message, 1, sizeof message, stdin);
  DBusMessage *sign = method("Sign", &iter);
  append_text(&iter, argv[1]);
  append_text(&iter, argv[2]);
  dbus_message_iter_open_container(&iter, DBUS_TYPE_ARRAY, "y", &array);
  dbus_message_iter_append_fixed_array(&array, DBUS_TYPE_BYTE, &bytes, length);
  dbus_message_iter_close_container(&iter, &array);
  append_options(&iter, NULL, NULL);

  DBusMessage *reply = reply_to(bus, sign);
  int size = 0;
  if (!dbus_message_get_args(reply, &error, DBUS_TYPE_ARRAY, DBUS_TYPE_BYTE, &bytes, &size,
                             DBUS_TYPE_INVALID)) {
    fprintf(stderr, "%s: %s\n", error.name, error.message);
    return 1;
  }
  return fwrite(bytes, 1, (size_t)size, stdout) == (size_t)size && fflush(stdout) == 0 ? 0 : 1;
}
