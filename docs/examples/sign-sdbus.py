# Signs standard input with a key of org.iotedge.Keys1, which is made when it is not there yet; with python-sdbus.
# The module keys1 is made of the installed interface:
#
#   python3 -m sdbus gen-from-file /usr/share/dbus-1/interfaces/org.iotedge.Keys1.xml > keys1.py
#
#   python3 sign-sdbus.py my-key ecdsa-sha256 < message > signature
import asyncio
import sys

from keys1 import OrgIotedgeKeys1Interface
from sdbus import SdBusBaseError, sd_bus_open_system


async def main(key_id, mechanism):
    keys = OrgIotedgeKeys1Interface.new_proxy(
        'org.iotedge.Keys1', '/org/iotedge/Keys1', sd_bus_open_system())
    # every method takes a dictionary of options last; here the one that keeps a key that is there
    await keys.create_key_pair(key_id, [], [], {'if_exists': ('s', 'keep')})
    message = sys.stdin.buffer.read()
    sys.stdout.buffer.write(await keys.sign(key_id, mechanism, message, {}))


try:
    asyncio.run(main(*sys.argv[1:]))
except SdBusBaseError as error:
    # errors of org.iotedge.Error come as SdBusUnmappedMessageError, their name is the first argument
    sys.exit(f'{getattr(error, "dbus_error_name", error.args[0])}: {error}')
