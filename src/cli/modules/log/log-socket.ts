import { connect } from 'node:net';
import { ServiceError, systemCode } from '../../../errors.ts';

/** The bytes of a log that the runtime sends to a socket, until either end closes it or the signal aborts. */
export async function* logFrom(path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  const socket = connect(path);
  const leave = (): void => void socket.destroy();
  signal.addEventListener('abort', leave, { once: true });
  try {
    for await (const piece of socket) yield Buffer.isBuffer(piece) ? piece : Buffer.from(piece);
  } catch (error) {
    if (signal.aborted) return;
    const reason = systemCode(error) ?? 'the connection failed';
    const text = `the log from the Module Runtime ended early: ${reason}`;
    throw new ServiceError('Unavailable', text, { cause: error });
  } finally {
    signal.removeEventListener('abort', leave);
    socket.destroy();
  }
}
