import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertRunEnded } from '../../../../src/cli/modules/log/early-end.ts';
import { moduleView } from '../../../../src/cli/modules/module-view.ts';
import { ServiceError } from '../../../../src/errors.ts';

const test = suite('the end of a followed log');

const view = (State: string, StartedAt = 5) => moduleView({ Name: 'sensor', State, StartedAt });

/** What the end of a log is taken for when the module is seen so, one time after the other. */
async function verdict(...seen: readonly ReturnType<typeof view>[]): Promise<string> {
  const left = [...seen];
  const find = () => Promise.resolve(left.shift());
  return assertRunEnded({ find }, view('running'), 1).then(
    () => 'the end',
    (error: unknown) => String(error),
  );
}

test('is that of the run of its module', async () => {
  assert.is(await verdict(view('stopped')), 'the end');
  assert.is(await verdict(view('backoff')), 'the end');
  assert.is(await verdict(view('running', 6)), 'the end');
  assert.is(await verdict(), 'the end');
  // noticed by the runtime after the log has ended
  assert.is(await verdict(view('running'), view('stopped')), 'the end');
});

test('is early while the module runs on, or nothing is known of it', async () => {
  const early = /log of module "sensor" ended although it runs/;
  assert.match(await verdict(view('running'), view('running')), early);
  assert.match(await verdict(view('unknown'), view('running')), early);
  const away = () => Promise.reject(new ServiceError('Unavailable', 'no runtime'));
  const failure = assertRunEnded({ find: away }, view('running'), 1);
  assert.match(await failure.then(String, String), early);
});

test.run();
