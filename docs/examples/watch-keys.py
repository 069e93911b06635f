# Prints the ids of keys as they come and go; with GLib. The service exits when it is idle and is started by the next
# call: its objects are the same when it is back, so nothing is forgotten when its name has no owner.
#
#   python3 watch-keys.py
from gi.repository import Gio, GLib

NAME, PATH, KEY = 'org.iotedge.Keys1', '/org/iotedge/Keys1', 'org.iotedge.Keys1.Key'
MANAGER = 'org.freedesktop.DBus.ObjectManager'
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
known = {}


def added(path, interfaces):
    if KEY in interfaces and path not in known:
        known[path] = interfaces[KEY]['KeyId']
        print('+', known[path], flush=True)


def removed(path):
    if path in known:
        print('-', known.pop(path), flush=True)


def signalled(_bus, _sender, _path, _interface, member, parameters):
    path, interfaces = parameters.unpack()
    if member == 'InterfacesAdded':
        added(path, interfaces)
    elif KEY in interfaces:
        removed(path)


def read_all(*_owner):
    """Whoever has the name now may know of changes that nobody heard of."""
    objects, = bus.call_sync(NAME, PATH, MANAGER, 'GetManagedObjects', None, None,
                             Gio.DBusCallFlags.NONE, -1, None).unpack()
    for path in known.keys() - objects.keys():
        removed(path)
    for path, interfaces in objects.items():
        added(path, interfaces)


# the well-known name as sender holds for every owner that it will have
for signal in 'InterfacesAdded', 'InterfacesRemoved':
    bus.signal_subscribe(NAME, MANAGER, signal, PATH, None, Gio.DBusSignalFlags.NONE, signalled)
Gio.bus_watch_name_on_connection(bus, NAME, Gio.BusNameWatcherFlags.AUTO_START, read_all, None)
GLib.MainLoop().run()
