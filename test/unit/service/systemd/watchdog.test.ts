import * as assert from 'uvu/assert';
import { startWatchdog, Watchdog } from '../../../../src/service/systemd/watchdog.ts';
import { until } from '../../../support/deadline.ts';
import { type LogLine, recordingLog, silentLog } from '../../../support/log.ts';
import { suite } from '../../../support/timed-suite.ts';

const test = suite('watchdog');

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const limits = { delayMs: 10_000, busMs: 60_000, replyMs: 10_000, againMs: 5 };

/** A manager that records what it is sent, and a bus that replies while `isUp`. */
function surroundings() {
  const sent: string[] = [];
  const calls: unknown[] = [];
  const state = { isUp: true };
  return {
    sent,
    calls,
    state,
    notify: (text: string) => sent.push(text) > 0,
    log: silentLog,
    bus: {
      call: (call: unknown, options: unknown) => {
        calls.push([call, options]);
        return state.isUp ? Promise.resolve([]) : Promise.reject(new Error('no reply'));
      },
    },
  };
}

test('reports nothing without the variable, for another process, or for nonsense', async () => {
  const parts = surroundings();
  for (const environment of [
    {},
    { WATCHDOG_USEC: '' },
    { WATCHDOG_USEC: '0' },
    { WATCHDOG_USEC: '-1' },
    { WATCHDOG_USEC: '1e3' },
    { WATCHDOG_USEC: '3000', WATCHDOG_PID: String(process.pid + 1) },
  ]) {
    assert.is(startWatchdog(environment, parts), undefined, JSON.stringify(environment));
  }
});

test('reports every third of the interval, each time after a round trip on the bus', async () => {
  const parts = surroundings();
  const startedAt = performance.now();
  const environment = { WATCHDOG_USEC: '600000', WATCHDOG_PID: String(process.pid) };
  using watchdog = startWatchdog(environment, parts);
  assert.ok(watchdog);
  await until(5000, 'three messages', () => parts.sent.length >= 3);
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs >= 590 && tookMs < 1500, `${tookMs} ms`);
  assert.equal(new Set(parts.sent), new Set(['WATCHDOG=1']));
  assert.is(parts.calls.length, parts.sent.length);
});

test('reports no more when it is disposed of', async () => {
  const parts = surroundings();
  const watchdog = new Watchdog(10, parts, limits);
  await until(5000, 'a message', () => parts.sent.length > 0);
  watchdog[Symbol.dispose]();
  await pause(50);
  const { length } = parts.sent;
  await pause(50);
  assert.is(parts.sent.length, length);
});

test('omits one report after the event loop was blocked, and looks again soon', async () => {
  const parts = surroundings();
  const logged: LogLine[] = [];
  const log = recordingLog((line) => void logged.push(line));
  using _watchdog = new Watchdog(400, { ...parts, log }, { ...limits, delayMs: 100 });
  await pause(350);
  const startedAt = performance.now();
  while (performance.now() - startedAt < 250);
  await until(5000, 'a report', () => parts.sent.length === 1);
  assert.ok(performance.now() - startedAt < 600, 'not only after the next interval');
  assert.match(JSON.stringify(logged), 'event loop delayed');
  assert.is(logged.length, 1);
});

test('endures a bus that does not reply for a while, and no longer', async () => {
  const parts = surroundings();
  using _watchdog = new Watchdog(20, parts, { ...limits, busMs: 200 });
  parts.state.isUp = false;
  const startedAt = performance.now();
  await until(5000, 'reports in the meantime', () => parts.sent.length >= 3);
  await pause(startedAt + 300 - performance.now());
  const { length } = parts.sent;
  await pause(100);
  assert.is(parts.sent.length, length);
  parts.state.isUp = true;
  await until(5000, 'reports again', () => parts.sent.length > length);
  parts.state.isUp = false;
  const again = parts.sent.length;
  await until(5000, 'a new start of the time', () => parts.sent.length > again + 2);
});

test('waits for a reply of the bus no longer than half of its interval', async () => {
  const parts = surroundings();
  using _watchdog = new Watchdog(20, parts, limits);
  await until(5000, 'a round trip', () => parts.calls.length > 0);
  const [[call, options] = []] = parts.calls as [unknown, unknown][];
  assert.equal(options, { timeoutMs: 10 });
  assert.is((call as { readonly destination: string }).destination, 'org.freedesktop.DBus');
});

test.run();
