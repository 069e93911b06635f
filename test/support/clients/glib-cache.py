"""A GDBusProxy that prints its cached value of a property.

usage: glib-cache.py ADDRESS NAME PATH INTERFACE PROPERTY
Prints the cached value, and for each line on standard input the next one, once the printed value is not cached
any more.
"""

import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib

address, name, path, interface, prop = sys.argv[1:]
flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
proxy = Gio.DBusProxy.new_sync(
    connection, Gio.DBusProxyFlags.GET_INVALIDATED_PROPERTIES, None, name, path, interface, None
)
loop = GLib.MainLoop()
printed = None


def cached():
    value = proxy.get_cached_property(prop)
    return None if value is None else value.print_(False)


def report():
    """Prints a new value; continues while the printed value, or none, is cached."""
    global printed
    value = cached()
    if value is None or value == printed:
        return GLib.SOURCE_CONTINUE
    printed = value
    print(printed, flush=True)
    return GLib.SOURCE_REMOVE


def line(_channel, _condition):
    if not sys.stdin.readline():
        loop.quit()
        return GLib.SOURCE_REMOVE
    GLib.timeout_add(20, report)
    return GLib.SOURCE_CONTINUE


report()
GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, line)
loop.run()
