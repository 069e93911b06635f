/** The two implementations of the system bus. */
export type BusKind = 'dbus-daemon' | 'dbus-broker';

/** The bus of tests that do not name one: IOTEDGE_TEST_BUS, by default dbus-daemon. */
export function defaultBus(): BusKind {
  const kind = process.env['IOTEDGE_TEST_BUS'] ?? 'dbus-daemon';
  if (kind === 'dbus-daemon' || kind === 'dbus-broker') return kind;
  throw new TypeError(`IOTEDGE_TEST_BUS must be dbus-daemon or dbus-broker, not ${kind}`);
}

/**
 * dbus-broker requires a journal socket, a listening socket from systemd, and to be the system bus. It needs its own /run
 * for the first.
 */
const brokerScript = `
mkdir -p /run/systemd/journal
setpriv --pdeathsig=KILL python3 -c '
import socket
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
while True: journal.recv(65536)' &
until [ -S /run/systemd/journal/socket ]; do sleep 0.02; done
export DBUS_SYSTEM_BUS_ADDRESS=unix:path="$1"
exec systemd-socket-activate -E DBUS_SYSTEM_BUS_ADDRESS -l "$1" dbus-broker-launch --scope system --config-file="$2"
`;

/** The command that starts a bus on a socket with a configuration. */
export function busCommand(
  kind: BusKind,
  { socket, file }: { readonly socket: string; readonly file: string },
): readonly [string, ...string[]] {
  if (kind === 'dbus-broker') return ['sh', '-euc', brokerScript, 'sh', socket, file];
  return ['dbus-daemon', '--nofork', '--nopidfile', '--nosyslog', '--config-file', file];
}
