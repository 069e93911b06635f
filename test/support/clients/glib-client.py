"""Many GDBusProxy of one object, and an object manager, as a desktop program has them.

usage: glib-client.py ADDRESS NAME PATH INTERFACE COUNT
Prints `PROXIES OBJECTS`: how many proxies have cached properties, and how many objects the manager has. Each line on
standard input prints it again, once NAME has another owner and everything was read again.
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
    """Whether the name has another owner; reading again takes a moment that no signal ends."""
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
