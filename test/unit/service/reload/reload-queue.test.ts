import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ConfigError, type Problem } from '../../../../src/service/config/config-problem.ts';
import { ReloadQueue } from '../../../../src/service/reload/reload-queue.ts';
import { deadline, until } from '../../../support/deadline.ts';
import { recordingLog } from '../../../support/log.ts';

const test = suite('reloads');

/** A ReloadQueue of numbers, and the order of its actions. */
class Rig {
  readonly records: string[] = [];
  readonly stop = new AbortController();
  readonly reloads: ReloadQueue<number>;
  load: () => Promise<number> = () => Promise.resolve(1);
  apply: (loaded: number) => Promise<void> = () => Promise.resolve();

  constructor() {
    const record = (text: string) => void this.records.push(text);
    this.reloads = new ReloadQueue({
      load: () => this.load(),
      apply: async (loaded) => {
        record(`apply ${loaded}`);
        await this.apply(loaded);
      },
      setProblem: (problem) => record(`show ${problem}`),
      notify: (state) => {
        record(state.replace(/USEC=\d+$/, 'USEC=N'));
        return true;
      },
      stop: this.stop.signal,
      log: recordingLog(({ level, message, fields }) =>
        record(`${level} ${message}${level === 'error' ? ` ${JSON.stringify(fields)}` : ''}`),
      ),
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

test('notify the service manager first, apply the configuration, and notify it of the end last', async () => {
  const rig = new Rig();
  assert.is(rig.reloads.isPending, false);
  rig.reloads.request();
  assert.is(rig.reloads.isPending, true);
  await rig.done();
  const expected = [begun, 'apply 1', 'show ', 'info configuration reloaded', 'READY=1'];
  assert.equal(rig.records, expected);
});

test('run one after the other, as many as were requested', async () => {
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
    rig.records.filter((line) => line.startsWith('apply')),
    ['apply 1', 'apply 2', 'apply 3'],
  );
});

test('do not apply an invalid configuration, log every problem and report the first', async () => {
  const rig = new Rig();
  rig.load = () => Promise.reject(new ConfigError([problem(1), problem(2), problem(3)]));
  rig.reloads.request();
  await rig.done();
  const logged = (line: number) =>
    `error invalid configuration {"file":"/a.yaml","line":${line},"column":2,"setting":"x","problem":"is wrong ${line}"}`;
  const why = '/a.yaml:1:2: is wrong 1 (and 2 more)';
  assert.equal(rig.records, [
    begun,
    logged(1),
    logged(2),
    logged(3),
    `error configuration not reloaded, previous one stays in force {"error":"${why}"}`,
    `show configuration not reloaded: ${why}`,
    'READY=1',
  ]);
});

test('report a single problem without a count, and log no more than 20', async () => {
  const rig = new Rig();
  rig.load = () => Promise.reject(new ConfigError([problem(1)]));
  rig.reloads.request();
  await rig.done();
  assert.ok(rig.records.includes('show configuration not reloaded: /a.yaml:1:2: is wrong 1'));
  const many = Array.from({ length: 30 }, (_, at) => problem(at));
  rig.load = () => Promise.reject(new ConfigError(many));
  rig.records.length = 0;
  rig.reloads.request();
  await rig.done();
  assert.is(
    rig.records.filter((line) => line.startsWith('error invalid configuration')).length,
    20,
  );
  assert.ok(rig.records.some((line) => line.endsWith('(and 29 more)')));
});

test('report at most 1024 characters of what cannot be applied, and continue', async () => {
  const rig = new Rig();
  rig.apply = () => Promise.reject(new Error('x'.repeat(5000)));
  rig.reloads.request();
  rig.reloads.request();
  await rig.done();
  const shown = rig.records.filter((line) => line.startsWith('show '));
  assert.equal(
    shown.map((line) => line.length - 'show '.length),
    [1024, 1024],
  );
  rig.apply = () => Promise.resolve();
  rig.reloads.request();
  await rig.done();
  assert.ok(rig.records.includes('show '));
});

test('do nothing in a service that stops, before, during reading and during applying', async () => {
  const stopped = new Rig();
  stopped.stop.abort();
  stopped.reloads.request();
  await stopped.done();
  assert.equal(stopped.records, []);

  for (const fails of [false, true]) {
    const reading = new Rig();
    reading.load = () => {
      reading.stop.abort();
      return fails ? Promise.reject(new Error('gone')) : Promise.resolve(1);
    };
    reading.reloads.request();
    await deadline(5000, reading.done(), 'the reload');
    assert.equal(reading.records, [begun]);
  }
  const applying = new Rig();
  applying.apply = () => {
    applying.stop.abort();
    return Promise.reject(new Error('gone'));
  };
  applying.reloads.request();
  await applying.done();
  assert.equal(applying.records, [begun, 'apply 1']);
});

test.run();
