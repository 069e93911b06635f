/** Time limits end with what they limit: a timer that is left acts on whatever is there by then. */
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { setImmediate as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Streams } from '../../../src/modules/api/http/streams.ts';
import { Unsent } from '../../../src/modules/api/http/unsent.ts';
import type { EngineConnection } from '../../../src/modules/docker/engine/connection/engine-connection.ts';
import { ContainerEvents } from '../../../src/modules/docker/engine/events/container-events.ts';
import { KillRequests } from '../../../src/modules/docker/engine/events/kill-requests.ts';
import { within } from '../../../src/modules/resources/within.ts';
import type { LogEntry } from '../../../src/modules/supervisor/module-type.ts';
import { WakeupEvent } from '../../../src/modules/supervisor/wakeup-event.ts';
import { moduleLog } from '../../../src/modules/support-bundle/module-log.ts';
import { pendingTimers } from '../../support/deadline.ts';

const test = suite('time limits');
const { signal } = new AbortController();
const done = () => Promise.resolve();

for (const [what, run] of [
  ['the sending of a response', () => new Unsent().take(1, done, assert.unreachable)],
  ['a reader of a stream', () => new Streams().whileRead({} as ServerResponse, done)],
  ['the beginning of the events of an engine', () => events()],
  ['a result', () => within(60_000, done())],
  ['a wait for an event', () => woken()],
  ['the engine, while the reader of a bundle takes its time', () => firstLine()],
] as const) {
  test(`of ${what}`, async () => {
    await pause(); // the first test begins within a timer
    const before = pendingTimers();
    await run();
    assert.is(pendingTimers(), before);
  });
}

async function events(): Promise<void> {
  const stream = new Readable({ read: () => undefined });
  const docker = { getEvents: () => Promise.resolve(stream) };
  const connection = { socketPath: '', open: () => Promise.resolve(docker) };
  const list = () => Promise.resolve(new Map());
  const kills = new KillRequests();
  // nothing else of the connection is used
  const parts = { connection: connection as unknown as EngineConnection, list, kills };
  await ContainerEvents.open(parts, signal);
}

async function woken(): Promise<void> {
  const event = new WakeupEvent();
  const waiting = event.wait(60_000, signal);
  event.set();
  await waiting;
}

async function firstLine(): Promise<void> {
  async function* entries(): AsyncGenerator<readonly LogEntry[]> {
    for (;;) yield [{ stream: 'stdout', time: '', text: Buffer.from('a\n') }];
  }
  const read = () => Promise.resolve({ isTerminal: false, entries: entries() });
  const lines = moduleLog(read, { since: undefined, until: undefined }, signal);
  await lines.next();
}

test.run();
