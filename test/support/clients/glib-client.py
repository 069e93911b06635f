"""Many GDBusProxy of one object, and an object manager, as in a desktop program.

usage: glib-client.py ADDRESS NAME PATH INTERFACE COUNT
Prints `PROXIES OBJECTS`: the number of proxies with cached properties, and the number of objects of the manager. For each
line on standard input it prints them again, once NAME has another owner and all properties were read again.
"""

import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib

address, name, path, interface, count = sys.argv[1:]
flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
loop = GLib.MainLoop()
proxies = []


def report():
    cached = sum(1 for proxy in proxies if proxy.get_cached_property_names())
    print(cached, len(manager.get_objects()), flush=True)
    return GLib.SOURCE_REMOVE


def made(_source, result):
    proxies.append(Gio.DBusProxy.new_finish(result))
    if len(proxies) == int(count):
        loop.quit()


for _ in range(int(count)):
    Gio.DBusProxy.new(connection, Gio.DBusProxyFlags.NONE, None, name, path, interface, None, made)
loop.run()
manager = Gio.DBusObjectManagerClient.new_sync(
    connection, Gio.DBusObjectManagerClientFlags.NONE, name, path, None, None, None
)
report()
old = proxies[0].get_name_owner()


def settled():
    """Waits for another owner of the name; no signal reports the end of the new reads, so it allows some time."""
    if proxies[0].get_name_owner() in (None, old):
        return GLib.SOURCE_CONTINUE
    GLib.timeout_add(1500, report)
    return GLib.SOURCE_REMOVE


def line(_channel, _condition):
    if not sys.stdin.readline():
        loop.quit()
        return GLib.SOURCE_REMOVE
    GLib.timeout_add(20, settled)
    return GLib.SOURCE_CONTINUE


GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, line)
loop.run()
