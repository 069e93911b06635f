/** A broken connection to the engine never causes more than the failure of its request. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import { owner, ownerLabel } from '../../../../src/modules/docker/labels.ts';
import { deadline } from '../../../support/deadline.ts';
import { CuttingPeer, type Stage } from '../../../support/engine/cutting-peer.ts';
import { importBusybox } from '../../../support/engine/images.ts';
import { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { readLog } from '../../../support/engine/read-log.ts';
import { failureOf } from '../../../support/failure.ts';

interface Context {
  machine: PrivateEngine;
  peer: CuttingPeer;
  engine: DockerEngine;
}

const test = suite<Context>('connection to the docker engine');
const image = 'localhost/busybox:1';
const name = 'subject';

type Ask = (engine: DockerEngine, signal: AbortSignal) => Promise<unknown>;

/** Requests whose response has a body. */
const reading: Readonly<Record<string, Ask>> = {
  version: (engine, signal) => engine.version(signal),
  system: (engine, signal) => engine.system(signal),
  findImage: (engine, signal) => engine.findImage(image, signal),
  pull: (engine, signal) => engine.pull('127.0.0.1:9/absent:1', {}, signal),
  ensureNetwork: (engine, signal) => engine.ensureNetwork({ name: 'bridge' }, signal),
  inspect: (engine, signal) => engine.inspect(name, signal),
  create: (engine, signal) => engine.create(name, { Image: image }, signal),
  log: (engine, signal) => readLog(engine.log(name, {}, signal)),
  'log of none': (engine, signal) => engine.log('absent', {}, signal),
};
/** Requests whose response is only a header. */
const acting: Readonly<Record<string, Ask>> = {
  start: (engine, signal) => engine.start(name, signal),
  stop: (engine, signal) => engine.stop(name, 0, signal),
  remove: (engine, signal) => engine.remove('absent', signal),
};

/** The outcome of a request, which never lasts longer than its deadline. */
const outcomeOf = (promise: Promise<unknown>): Promise<string> =>
  failureOf(deadline(20_000, promise, 'an end'));

test.before(async (context) => {
  const machine = await PrivateEngine.start();
  await importBusybox(machine, image);
  const socketPath = join(machine.directory, 'cut.sock');
  const peer = await CuttingPeer.start(socketPath, machine.socketPath);
  const engine = new DockerEngine(socketPath);
  const signal = AbortSignal.timeout(30_000);
  const body = { Image: image, Cmd: ['echo', 'a line'], Labels: { [ownerLabel]: owner } };
  await engine.create(name, body, signal);
  await engine.start(name, signal);
  await machine.docker('wait', name);
  Object.assign(context, { machine, peer, engine });
});

test.before.each(({ peer }) => {
  peer.stage = 'everything';
  peer.cuts = true;
});

test.after(async ({ machine, peer }) => {
  await peer[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});

const stages: readonly Stage[] = ['nothing', 'half the header', 'the header', 'some of the body'];
for (const stage of stages) {
  const withBody = stage === 'the header' || stage === 'some of the body';
  const asks = Object.entries(withBody ? reading : { ...reading, ...acting });

  test(`cut after ${stage} of a response is Unavailable, for every request`, async (context) => {
    context.peer.stage = stage;
    for (const [what, ask] of asks) {
      const signal = AbortSignal.timeout(60_000);
      assert.is(await outcomeOf(ask(context.engine, signal)), 'Unavailable', what);
    }
  });

  test(`silent after ${stage} of a response ends with the signal, and a later cut is harmless`, async ({
    engine,
    peer,
  }) => {
    peer.stage = stage;
    peer.cuts = false;
    for (const [what, ask] of asks) {
      const stop = new AbortController();
      const outcome = outcomeOf(ask(engine, stop.signal));
      setTimeout(() => stop.abort(), 50);
      assert.is(await outcome, 'Cancelled', what);
    }
    peer.cutAll();
  });

  test(`cut after ${stage} of the events ends them with Unavailable`, async ({ engine, peer }) => {
    peer.stage = stage;
    const signal = AbortSignal.timeout(60_000);
    const listening = async () => {
      for await (const event of await engine.listen(signal)) void event;
    };
    const starting = stage === 'some of the body' ? createSoon(engine) : undefined;
    assert.is(await outcomeOf(listening()), 'Unavailable');
    await starting;
  });
}

/** Causes events of the engine. */
async function createSoon(engine: DockerEngine): Promise<void> {
  for (let left = 10; left > 0; left--) {
    const body = { Image: image, Labels: { [ownerLabel]: owner } };
    await outcomeOf(engine.create(`noise-${left}`, body, AbortSignal.timeout(5_000)));
  }
}

test('cut before the response to a cancelled request is harmless', async ({ engine, peer }) => {
  peer.stage = 'nothing';
  peer.cuts = false;
  for (const [what, ask] of Object.entries({ ...reading, ...acting })) {
    const stop = new AbortController();
    const outcome = outcomeOf(ask(engine, stop.signal));
    stop.abort();
    assert.is(await outcome, 'Cancelled', what);
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  peer.cutAll();
  peer.stage = 'everything';
  assert.is(await outcomeOf(engine.version(AbortSignal.timeout(10_000))), 'no failure');
});

test('cut while the events are not read is harmless', async ({ engine, peer }) => {
  const stop = new AbortController();
  const cut = await engine.listen(AbortSignal.timeout(60_000));
  const cancelled = await engine.listen(stop.signal);
  peer.stage = 'nothing';
  peer.cuts = true;
  peer.cutAll();
  stop.abort();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const next = (events: AsyncIterable<string>) => events[Symbol.asyncIterator]().next();
  assert.is(await outcomeOf(next(cut)), 'Unavailable');
  assert.is(await outcomeOf(next(cancelled)), 'Cancelled');
});

test.run();
