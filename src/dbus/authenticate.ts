import type { Socket } from 'node:net';

const maxAuthLineBytes = 16 << 10;

/** The SASL exchange of the D-Bus specification, mechanism EXTERNAL; the server sends nothing unasked. */
export function authenticate(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = '';
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', abort);
      socket.destroy();
      reject(error);
    };
    const closed = (): void => fail(new Error('the bus closed the connection'));
    const abort = (): void => fail(new Error('no answer in time', { cause: signal.reason }));
    const data = (chunk: Buffer): void => {
      received += chunk.toString('latin1');
      const end = received.indexOf('\r\n');
      if (end < 0) {
        if (received.length > maxAuthLineBytes) fail(new Error('the bus answered no line'));
        return;
      }
      if (!received.startsWith('OK ')) {
        fail(new Error(`the bus refused authentication: ${received.slice(0, end)}`));
        return;
      }
      signal.removeEventListener('abort', abort);
      socket.off('error', fail).off('close', closed).off('data', data);
      socket.write('BEGIN\r\n');
      resolve();
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
