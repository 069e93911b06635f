import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, open, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  encodeJournalRecord,
  journalSend,
  listeningPath,
  notify,
  peer,
  peerPidfd,
} from '../../../src/native/linux.ts';
import { outputOf, runCommand } from '../../support/command.ts';
import { deadline } from '../../support/deadline.ts';

const test = suite<{ directory?: string }>('linux addon');
const source = fileURLToPath(
  new URL('../../../../test/support/native/receiver.c', import.meta.url),
);

/** A datagram socket that reads nothing. */
const silent = `
import socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(sys.argv[1])
print('ready', flush=True)
sys.stdin.read()
`;

test.before(async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-linux-'));
  await outputOf('cc', [
    '-D_GNU_SOURCE',
    '-Wall',
    '-Werror',
    '-o',
    join(directory, 'receiver'),
    source,
  ]);
  await chmod(directory, 0o755); // another uid connects, too
  context.directory = directory;
});

test.after(({ directory = '' }) => rm(directory, { recursive: true, force: true }));

/** The datagram that arrives at an address while `send` runs. */
async function received(directory: string, address: string, send: () => void): Promise<Buffer> {
  const receiver = spawn(join(directory, 'receiver'), [address]);
  const chunks: Buffer[] = [];
  receiver.stdout.on('data', (chunk: Buffer) => void chunks.push(chunk));
  const closed = once(receiver, 'close');
  try {
    await deadline(5000, once(receiver.stderr, 'data'), 'the receiver to listen');
    send();
    await deadline(5000, closed, 'a datagram');
  } finally {
    receiver.kill('SIGKILL');
  }
  return Buffer.concat(chunks);
}

test('sends a record to the journal', async ({ directory = '' }) => {
  const fields = [
    ['MESSAGE', 'two\nlines'],
    ['PRIORITY', '6'],
  ] as const;
  const socket = join(directory, 'journal');
  const bytes = await received(directory, socket, () => {
    assert.is(journalSend([['MESSAGE', 'cut off']], `${socket}\0y`), false);
    assert.ok(journalSend(fields, socket));
  });
  const wanted = Buffer.concat([Buffer.from('datagram\n'), encodeJournalRecord(fields)]);
  assert.ok(bytes.equals(wanted));
});

test('sends a record that exceeds a datagram as a sealed file', async ({ directory = '' }) => {
  const fields = [['MESSAGE', 'x'.repeat(20 << 20)]] as const;
  const socket = join(directory, 'large');
  const bytes = await received(directory, socket, () => assert.ok(journalSend(fields, socket)));
  const wanted = Buffer.concat([Buffer.from('sealed\n'), encodeJournalRecord(fields)]);
  assert.ok(bytes.equals(wanted));
});

test('does not wait for a journal that is slow', async ({ directory = '' }) => {
  const socket = join(directory, 'full');
  const receiver = spawn('python3', ['-c', silent, socket], { stdio: ['pipe', 'pipe', 'inherit'] });
  await deadline(10_000, once(receiver.stdout, 'data'), 'the socket');
  const module = new URL('../../../src/native/linux.js', import.meta.url).href;
  const sender = `
    import { journalSend, notify } from ${JSON.stringify(module)};
    const socket = ${JSON.stringify(socket)};
    let sent = 0;
    while (journalSend([['MESSAGE', 'x']], socket) && sent < 100_000) sent++;
    const large = journalSend([['MESSAGE', 'x'.repeat(20 << 20)]], socket);
    console.log(sent > 0 && sent < 100_000, large, notify(socket, 'READY=1'));`;
  const words = ['--input-type=module', '-e', sender];
  const { code, stdout, stderr } = await runCommand(process.execPath, words, { timeoutMs: 20_000 });
  receiver.kill('SIGKILL');
  assert.is(code, 0, stderr);
  assert.is(stdout.toString(), 'true false false\n');
});

test('reports a missing journal', ({ directory = '' }) => {
  assert.is(journalSend([['MESSAGE', 'x']], join(directory, 'absent')), false);
});

test('notifies by path and by abstract name', async ({ directory = '' }) => {
  const path = join(directory, 'notify');
  for (const address of [path, `@iotedge-test-${randomBytes(8).toString('hex')}`]) {
    const send = () => assert.ok(notify(address, 'READY=1\nSTATUS=x'));
    const bytes = await received(directory, address, send);
    assert.is(bytes.toString(), 'datagram\nREADY=1\nSTATUS=x');
  }
  for (const address of [
    path, // the listener is closed
    '',
    '@',
    'relative',
    `/${'x'.repeat(50)}/absent`,
    `/${'x'.repeat(200)}`,
    'vsock:2:1',
  ]) {
    assert.is(notify(address, 'READY=1'), false);
  }
});

test('passes descriptors with a notification, or sends nothing', async ({ directory = '' }) => {
  const address = join(directory, 'store');
  const file = await open(join(directory, 'passed'), 'w+');
  await file.write('content');
  const bytes = await received(directory, address, () => {
    assert.is(notify(address, 'FDSTORE=1', [file.fd, 100_000]), false);
    assert.throws(() =>
      notify(
        address,
        'FDSTORE=1',
        Array.from({ length: 17 }, () => file.fd),
      ),
    );
    assert.ok(
      notify(
        address,
        'FDSTORE=1',
        Array.from({ length: 16 }, () => file.fd),
      ),
    );
  });
  await file.close();
  // the receiver has copied the first
  assert.is(bytes.toString(), 'open\ncontent');
});

test('returns where a descriptor listens, and nothing for one that does not', async ({
  directory = '',
}) => {
  const longest = join(directory, 'x'.repeat(106 - directory.length));
  for (const path of [join(directory, 'listener'), longest]) {
    const server = createServer();
    server.listen(path);
    await once(server, 'listening');
    const client = connect(path);
    const accepted = await new Promise<Socket>((resolve) => server.once('connection', resolve));
    const found = [server, client, accepted].map((socket) => listeningPath(descriptorOf(socket)));
    client.destroy();
    accepted.destroy();
    server.close();
    await once(server, 'close');
    assert.equal(found, [path, undefined, undefined]);
  }
  const file = await open('/dev/null');
  for (const address of ['\0iotedge-test-abstract', 0]) {
    const server = createServer();
    server.listen(address);
    await once(server, 'listening');
    const found = listeningPath(descriptorOf(server));
    server.close();
    assert.is(found, undefined);
  }
  for (const fd of [file.fd, -1, 100_000]) assert.is(listeningPath(fd), undefined);
  await file.close();
});

test('sends to the whole address or not at all', async ({ directory = '' }) => {
  const socket = join(directory, 'x'.repeat(106 - directory.length));
  const bytes = await received(directory, socket, () => {
    assert.is(journalSend([['MESSAGE', 'x']], `${socket}\u{1d11e}`), false);
    assert.is(journalSend([['MESSAGE', 'x']], `${socket}\0y`), false);
    assert.ok(journalSend([['MESSAGE', 'whole']], socket));
  });
  assert.is(bytes.toString(), 'datagram\nMESSAGE=whole\n');
});

test('returns the peer credentials of a unix socket', async ({ directory = '' }) => {
  const path = join(directory, 'peer');
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  await chmod(path, 0o666);
  // it changes its user itself: the path of Node may be closed to other users
  const become = 'process.setgroups([]); process.setgid(4712); process.setuid(4711);';
  const program = `${become} require('net').connect(${JSON.stringify(path)}).resume()`;
  const child: ChildProcess = spawn(process.execPath, ['-e', program]);
  const connected = new Promise<Socket>((resolve) => {
    server.once('connection', resolve);
  });
  const socket = await deadline(10_000, connected, 'a connection');
  const credentials = peer(descriptorOf(socket));
  const closed = once(child, 'close');
  socket.destroy();
  await deadline(10_000, closed, 'the client to end');
  server.close();
  assert.equal(credentials, { pid: child.pid, uid: 4711, gid: 4712 });
});

test('refuses descriptors that are not connected unix sockets', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const file = await open('/dev/null');
  try {
    for (const fd of [descriptorOf(server), file.fd, -1, 100_000, Number.NaN]) {
      assert.throws(() => peer(fd));
      assert.throws(() => peerPidfd(fd));
    }
  } finally {
    await file.close();
    server.close();
  }
});

/** The descriptor of a socket, which Node exposes only this way. */
function descriptorOf(handle: unknown): number {
  const { _handle } = handle as { readonly _handle: { readonly fd: number } };
  return _handle.fd;
}

test.run();
