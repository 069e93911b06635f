import type { Socket } from 'node:net';

const maxAuthLineBytes = 16 << 10;

/** One step of the exchange: what is sent once the bus has answered in this way. */
interface Step {
  readonly accepts: (line: string) => boolean;
  readonly send: string;
}

/**
 * Descriptors are negotiated although no method takes one: dbus-broker 34 and later put one into the reply to
 * GetConnectionCredentials, and hang up on who did not negotiate. Node reads with read(2), so the kernel closes
 * every descriptor that arrives. A bus that cannot pass descriptors refuses with ERROR, and sends none.
 */
const steps: readonly Step[] = [
  { accepts: (line) => line.startsWith('OK '), send: 'NEGOTIATE_UNIX_FD\r\n' },
  { accepts: (line) => line === 'AGREE_UNIX_FD' || line.startsWith('ERROR'), send: 'BEGIN\r\n' },
];

/** Authenticates by the SASL exchange of the D-Bus specification, mechanism EXTERNAL. */
export function authenticate(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = '';
    let step = 0;
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', abort);
      socket.destroy();
      reject(error);
    };
    const closed = (): void => fail(new Error('the bus closed the connection'));
    const abort = (): void => fail(new Error('no answer in time', { cause: signal.reason }));
    const succeed = (): void => {
      signal.removeEventListener('abort', abort);
      socket.off('error', fail).off('close', closed).off('data', data);
      resolve();
    };
    const data = (chunk: Buffer): void => {
      received += chunk.toString('latin1');
      const end = received.indexOf('\r\n');
      if (end < 0) {
        if (received.length > maxAuthLineBytes) fail(new Error('the bus answered no line'));
        return;
      }
      const line = received.slice(0, end);
      received = received.slice(end + 2);
      const next = steps[step++];
      if (next?.accepts(line) !== true || received !== '') {
        fail(new Error(`the bus refused authentication: ${line}`));
        return;
      }
      socket.write(next.send);
      if (step === steps.length) succeed();
    };
    socket.on('error', fail).on('close', closed).on('data', data);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    socket.once('connect', () => {
      const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
      socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    });
  });
}
