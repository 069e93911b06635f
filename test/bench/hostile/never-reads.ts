import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { writersOf } from '../../../src/dbus/wire/codec.ts';
import { WireWriter } from '../../../src/dbus/wire/writer.ts';
import { encodeRaw } from '../../support/wire/raw-connection.ts';

/** Just below the size of a large reply: the most bytes that are returned without a delay. */
const randomBytes = 3900;

/** Sends calls of GetRandom on several connections of this process's uid, and never reads the replies. */
async function main(socket: string, connections: number, calls: number): Promise<void> {
  const began = performance.now();
  await Promise.all(Array.from({ length: connections }, () => sendCalls(socket, calls)));
  console.error(`sent in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  setInterval(() => undefined, 60_000); // the replies stay unread until the process is killed
}

async function sendCalls(path: string, calls: number): Promise<void> {
  const socket = createConnection(path);
  socket.on('error', () => undefined);
  const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
  socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
  await sleep(100);
  socket.write('NEGOTIATE_UNIX_FD\r\n');
  await sleep(100);
  socket.write('BEGIN\r\n');
  const driver = 'org.freedesktop.DBus';
  socket.write(
    encodeRaw({ type: 1, destination: driver, path: '/', interface: driver, member: 'Hello' }, 1),
  );
  const writer = new WireWriter();
  writersOf('ua{sv}').forEach((write, at) => write(writer, [randomBytes, {}][at]));
  const name = 'org.iotedge.Keys1';
  const call = {
    type: 1,
    destination: name,
    path: '/org/iotedge/Keys1',
    interface: name,
    member: 'GetRandom',
    signature: 'ua{sv}',
    body: Buffer.from(writer.buffer.subarray(0, writer.position)),
  };
  socket.pause();
  for (let serial = 2; serial < calls && !socket.destroyed; serial++) {
    socket.write(encodeRaw(call, serial));
    // dbus-daemon refuses the 129th pending call: the service is given the time to reply
    if (serial % 100 === 0) await sleep(100);
  }
}

void main(process.argv[2] ?? '', Number(process.argv[3]), Number(process.argv[4]));
