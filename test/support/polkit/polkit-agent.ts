/**
 * A process with the given uid and gid and its own authentication agent. Prints `name UNIQUE-NAME`, then `begun COOKIE`
 * and `cancelled COOKIE` for polkit's calls; a line on standard input ends the authentication that began last.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Bus, systemBusAddress } from '../../../src/dbus/bus.ts';
import { type IncomingMessage } from '../../../src/dbus/wire/inbox.ts';
import { Message, messageType } from '../../../src/dbus/wire/message.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';

/** Field 22 of proc(5), counted after the name of the command, which may contain anything. */
function startTime(): bigint {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return BigInt(fields[19] ?? 0);
}

function become(uid: number, gid: number): void {
  process.setgroups?.([]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}

async function run(): Promise<void> {
  const [uid, gid] = process.argv.slice(2).map(Number);
  if (uid === undefined || gid === undefined) throw new TypeError('usage: polkit-agent UID GID');
  become(uid, gid);
  const bus = await Bus.connect(systemBusAddress());
  let finish: () => void = () => undefined;
  const receive = (message: IncomingMessage): void => {
    const { member, serial, sender } = message.header;
    const body = message.decode(4096);
    const reply = new Message({
      type: messageType.reply,
      replySerial: serial,
      destination: sender,
    });
    if (member === 'BeginAuthentication') {
      finish = () => bus.send(reply);
      console.log(`begun ${String(body[4])}`);
    } else {
      bus.send(reply);
      console.log(`cancelled ${String(body[0])}`);
    }
  };
  bus.serveCalls({ maxBodyBytes: () => 64 << 10, receive });
  const pid = variant('u', process.pid);
  const subject = ['unix-process', { pid, 'start-time': variant('t', startTime()) }];
  await bus.call({
    destination: 'org.freedesktop.PolicyKit1',
    path: '/org/freedesktop/PolicyKit1/Authority',
    interface: 'org.freedesktop.PolicyKit1.Authority',
    member: 'RegisterAuthenticationAgent',
    signature: '(sa{sv})ss',
    body: [subject, 'C', '/agent'],
  });
  console.log(`name ${bus.uniqueName}`);
  for await (const _ of createInterface({ input: process.stdin })) finish();
  await bus.close();
}

void run();
