import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ConfigError, type Problem } from '../../../src/service/config/config-problem.ts';
import { ReloadQueue } from '../../../src/service/reload-queue.ts';
import { deadline, until } from '../../support/deadline.ts';

const test = suite('reloads');

/** ReloadQueue of numbers, and everything that they do in its order. */
class Rig {
  readonly said: string[] = [];
  readonly stop = new AbortController();
  readonly reloads: ReloadQueue<number>;
  load: () => Promise<number> = () => Promise.resolve(1);
  apply: (loaded: number) => Promise<void> = () => Promise.resolve();

  constructor() {
    const say = (text: string) => void this.said.push(text);
    this.reloads = new ReloadQueue({
      load: () => this.load(),
      apply: async (loaded) => {
        say(`apply ${loaded}`);
        await this.apply(loaded);
      },
      setProblem: (problem) => say(`show ${problem}`),
      notify: (state) => {
        say(state.replace(/USEC=\d+$/, 'USEC=N'));
        return true;
      },
      stop: this.stop.signal,
      log: {
        error: (message, fields) => say(`error ${message} ${JSON.stringify(fields)}`),
        warn: (message) => say(`warn ${message}`),
        info: (message) => say(`info ${message}`),
        debug: () => undefined,
      },
    });
  }

  async done(): Promise<void> {
    await until(5000, 'the reloads', () => Promise.resolve(!this.reloads.isPending));
  }
}

const begun = 'RELOADING=1\nMONOTONIC_USEC=N';
const problem = (line: number): Problem => {
  return { file: '/a.yaml', line, column: 2, path: 'x', message: `is wrong ${line}` };
};

test('tell the service manager first, apply what was read, and tell it that they are done last', async () => {
  const rig = new Rig();
  assert.is(rig.reloads.isPending, false);
  rig.reloads.request();
  assert.is(rig.reloads.isPending, true);
  await rig.done();
  const expected = [begun, 'apply 1', 'show ', 'info configuration reloaded', 'READY=1'];
  assert.equal(rig.said, expected);
});

test('happen one after the other, as many as were asked for', async () => {
  const rig = new Rig();
  let reads = 0;
  rig.load = () => Promise.resolve(++reads);
  let going = 0;
  let most = 0;
  rig.apply = async () => {
    most = Math.max(most, ++going);
    await new Promise((resolve) => setImmediate(resolve));
    going--;
  };
  for (let count = 0; count < 3; count++) rig.reloads.request();
  await rig.done();
  assert.is(most, 1);
  assert.equal(
    rig.said.filter((line) => line.startsWith('apply')),
    ['apply 1', 'apply 2', 'apply 3'],
  );
});

test('apply nothing of a configuration that is wrong, log every problem and show the first', async () => {
  const rig = new Rig();
  rig.load = () => Promise.reject(new ConfigError([problem(1), problem(2), problem(3)]));
  rig.reloads.request();
  await rig.done();
  const logged = (line: number) =>
    `error invalid configuration {"file":"/a.yaml","line":${line},"column":2,"setting":"x","problem":"is wrong ${line}"}`;
  const why = '/a.yaml:1:2: is wrong 1 (and 2 more)';
  assert.equal(rig.said, [
    begun,
    logged(1),
    logged(2),
    logged(3),
    `error configuration not reloaded, previous one stays in force {"error":"${why}"}`,
    `show configuration not reloaded: ${why}`,
    'READY=1',
  ]);
});

test('show a single problem without a count, and log no more than 20', async () => {
  const rig = new Rig();
  rig.load = () => Promise.reject(new ConfigError([problem(1)]));
  rig.reloads.request();
  await rig.done();
  assert.ok(rig.said.includes('show configuration not reloaded: /a.yaml:1:2: is wrong 1'));
  const many = Array.from({ length: 30 }, (_, at) => problem(at));
  rig.load = () => Promise.reject(new ConfigError(many));
  rig.said.length = 0;
  rig.reloads.request();
  await rig.done();
  assert.is(rig.said.filter((line) => line.startsWith('error invalid configuration')).length, 20);
  assert.ok(rig.said.some((line) => line.endsWith('(and 29 more)')));
});

test('show at most 1024 characters of what cannot be applied, and go on', async () => {
  const rig = new Rig();
  rig.apply = () => Promise.reject(new Error('x'.repeat(5000)));
  rig.reloads.request();
  rig.reloads.request();
  await rig.done();
  const shown = rig.said.filter((line) => line.startsWith('show '));
  assert.equal(
    shown.map((line) => line.length - 'show '.length),
    [1024, 1024],
  );
  rig.apply = () => Promise.resolve();
  rig.reloads.request();
  await rig.done();
  assert.ok(rig.said.includes('show '));
});

test('do nothing in a service that stops, before, while they read and while they apply', async () => {
  const stopped = new Rig();
  stopped.stop.abort();
  stopped.reloads.request();
  await stopped.done();
  assert.equal(stopped.said, []);

  for (const fails of [false, true]) {
    const reading = new Rig();
    reading.load = () => {
      reading.stop.abort();
      return fails ? Promise.reject(new Error('gone')) : Promise.resolve(1);
    };
    reading.reloads.request();
    await deadline(5000, reading.done(), 'the reload');
    assert.equal(reading.said, [begun]);
  }
  const applying = new Rig();
  applying.apply = () => {
    applying.stop.abort();
    return Promise.reject(new Error('gone'));
  };
  applying.reloads.request();
  await applying.done();
  assert.equal(applying.said, [begun, 'apply 1']);
});

test.run();
