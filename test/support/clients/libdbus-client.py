"""Many calls in one write, through libdbus.

usage: libdbus-client.py ADDRESS NAME PATH COUNT    prints the number of replies, and the names of the errors
"""

import sys

import dbus
import dbus.bus
import dbus.mainloop.glib
from gi.repository import GLib

address, name, path, count = sys.argv[1:]
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection(address)
loop = GLib.MainLoop()
outcomes = []


def done(outcome):
    outcomes.append(outcome)
    if len(outcomes) == int(count):
        loop.quit()


for _ in range(int(count)):
    bus.call_async(
        name,
        path,
        "org.freedesktop.DBus.Properties",
        "GetAll",
        "s",
        ("org.freedesktop.LogControl1",),
        lambda _properties: done("ok"),
        lambda error: done(error.get_dbus_name()),
    )
loop.run()
print(outcomes.count("ok"), *sorted(set(outcomes) - {"ok"}))
