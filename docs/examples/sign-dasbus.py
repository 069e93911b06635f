# Signs standard input with a key of org.iotedge.Keys1, which is made when it is not there yet; with dasbus.
#
#   python3 sign-dasbus.py my-key ecdsa-sha256 < message > signature
import sys

from dasbus.connection import SystemMessageBus
from dasbus.error import DBusError
from dasbus.typing import get_variant

_, key_id, mechanism = sys.argv
keys = SystemMessageBus().get_proxy('org.iotedge.Keys1', '/org/iotedge/Keys1')
try:
    # every method takes a dictionary of options last; here the one that keeps a key that is there
    keys.CreateKeyPair(key_id, [], [], {'if_exists': get_variant('s', 'keep')})
    message = sys.stdin.buffer.read()
    sys.stdout.buffer.write(bytes(keys.Sign(key_id, mechanism, message, {})))
except DBusError as error:
    sys.exit(f'{error.dbus_name}: {error}')
