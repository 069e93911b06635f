import type Docker from 'dockerode';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { logStream } from '../../../../../../src/modules/docker/engine/logs/log-request.ts';
import type { LogRequest } from '../../../../../../src/modules/supervisor/module-type.ts';

const test = suite('container logs');

interface Dialled {
  readonly path: string;
  readonly method: string;
  readonly options: object;
}
type Done = (error: unknown, stream: unknown) => void;

/** The request that the engine receives. */
async function requested(request: LogRequest): Promise<Dialled> {
  let found: Dialled | undefined;
  const dial = (dialled: Dialled, done: Done): void => {
    found = dialled;
    done(null, 'stream');
  };
  const docker = { modem: { dial } } as unknown as Docker; // all that is used
  assert.is(await logStream(docker, 'c1', request), 'stream');
  if (found === undefined) throw new TypeError('nothing was requested');
  return found;
}

test('are requested completely by default', async () => {
  const { path, method, options } = await requested({});
  assert.equal([path, method], ['/containers/c1/logs?', 'GET']);
  assert.equal(options, { stdout: true, stderr: true, timestamps: true, tail: 'all' });
});

test('are requested by number of last lines and by times in nanoseconds', async () => {
  const times = { since: 1_700_000_000_000_250_000n, until: 1_700_000_001_999_999_001n };
  const { options } = await requested({ tail: 0, follow: true, ...times });
  assert.equal(options, {
    stdout: true,
    stderr: true,
    timestamps: true,
    tail: 0,
    follow: true,
    since: '1700000000.000250000',
    until: '1700000001.999999001',
  });
});

test('fail with the error of the engine', async () => {
  const dial = (_dialled: Dialled, done: Done): void => done(new Error('no such container'), null);
  const docker = { modem: { dial } } as unknown as Docker; // all that is used
  const failure = await logStream(docker, 'c1', {}).catch(String);
  assert.is(failure, 'Error: no such container');
});

test.run();
