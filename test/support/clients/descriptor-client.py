"""Sends a peer a signal with a file descriptor and one without, as any user can.

usage: descriptor-client.py ADDRESS DESTINATION
"""

import os
import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib

address, destination = sys.argv[1:]
flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)


def descriptors():
    fds = Gio.UnixFDList.new()
    fds.append(os.open("/dev/null", os.O_RDONLY))
    return fds


def signal(member, fds):
    message = Gio.DBusMessage.new_signal("/", "org.iotedge.Test1", member)
    message.set_destination(destination)
    if fds is not None:
        message.set_body(GLib.Variant("(h)", (0,)))
        message.set_unix_fd_list(fds)
    connection.send_message(message, Gio.DBusSendMessageFlags.NONE)


signal("WithDescriptor", descriptors())
signal("Plain", None)
connection.flush_sync(None)
