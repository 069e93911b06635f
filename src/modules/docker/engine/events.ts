import { JoinedSignal } from '../../../service/joined-signal.ts';
import { owner, ownerLabel } from '../labels.ts';
import { openClient } from './connection/client.ts';
import { noticeMs } from './connection/engine-connection.ts';
import { iterable, jsonLines } from './connection/streams.ts';
import { translate, unreachableEngine } from './connection/translate.ts';
import { eventNames } from './inspect.ts';

/** The events that change the state of a container: not those of its health check commands, which may be frequent. */
const followedEvents =
  'create start stop die destroy remove pause unpause rename update health_status'.split(' ');
const action = 'listening to the container engine';

/** The names of our containers that change from now on; see `ContainerEngine`. */
export async function containerEvents(
  socketPath: string,
  signal: AbortSignal,
): Promise<AsyncIterable<string>> {
  const label = [`${ownerLabel}=${owner}`];
  const filters = JSON.stringify({ type: ['container'], label, event: followedEvents });
  // only the beginning of the stream has a deadline
  const late = new AbortController();
  // not disposed of: the stream ends with it, after this has returned
  const ending = new JoinedSignal([signal, late.signal]).signal;
  const timer = setTimeout(() => late.abort(new DOMException(action, 'TimeoutError')), noticeMs);
  try {
    const docker = await openClient(socketPath, ending);
    const events = iterable(await docker.getEvents({ filters }));
    return namesOf(events, socketPath, signal);
  } catch (error) {
    throw translate(error, { action, socketPath }, ending);
  } finally {
    clearTimeout(timer);
  }
}

async function* namesOf(
  stream: AsyncIterable<unknown>,
  socketPath: string,
  signal: AbortSignal,
): AsyncGenerator<string> {
  try {
    for await (const event of jsonLines(stream)) {
      yield* eventNames(event);
    }
  } catch (error) {
    throw translate(error, { action, socketPath }, signal);
  }
  throw unreachableEngine(socketPath, 'ECONNRESET');
}
