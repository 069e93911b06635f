/**
 * A PKCS#11 library that is slow, hangs, crashes or returns nonsense, in every function that a start or a signature
 * calls: all other keys are used meanwhile, the reason is reported, and the library recovers without a restart.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Mutex } from '../../../src/service/mutex.ts';
import { deadline, until } from '../../support/deadline.ts';
import { TwoLibraries } from '../../support/keys/two-libraries.ts';

const test = suite('keys service with a library that misbehaves');
/** Those that the service calls before it can use a token, in this order. */
const startFunctions = [
  'C_Initialize',
  'C_GetTokenInfo',
  'C_OpenSession',
  'C_Login',
  'C_FindObjectsInit',
] as const;
const functions = [...startFunctions, 'C_SignInit', 'C_Sign'] as const;

/** How long a caller who does not need the library may wait, and the start. */
const promptMs = 1_000;
const startMs = 1_500;
/** How long a stop may take. */
const stopMs = 6_000;

/** Services start one after the other: their starts are timed. */
const starts = new Mutex();

/** Runs a scenario for each function, all at once, each with a device; the failures name the function. */
async function forEach(
  names: readonly string[],
  scenario: (device: TwoLibraries, name: string) => Promise<void>,
): Promise<void> {
  const failures: string[] = [];
  const runOne = async (name: string): Promise<void> => {
    await using device = await starts.run(() => TwoLibraries.start());
    await scenario(device, name);
  };
  await Promise.all(
    names.map((name) =>
      runOne(name).catch((error: unknown) => {
        failures.push(`${name}: ${String(error)}`);
      }),
    ),
  );
  assert.is(failures.join('\n'), '');
}

/** The first library misbehaves from now on in a function; the service starts. */
async function startMisbehaving(device: TwoLibraries, name: string, what: string): Promise<void> {
  await device.first.library.misbehave(name, what);
  const start = () => deadline(startMs, device.keys.GetRandom({ count: 8 }), 'the first reply');
  await starts.run(start);
}

function matches(text: string, ...parts: readonly (string | RegExp)[]): void {
  for (const part of parts)
    assert.ok(typeof part === 'string' ? text.includes(part) : part.test(text), `${part}: ${text}`);
}

/** Checks that the callers of everything else are answered at once. */
async function othersAreServed(device: TwoLibraries): Promise<void> {
  const answers = [
    device.keys.GetRandom({ count: 8 }).then(() => 'random bytes'),
    device.sign('file'),
    device.sign('second'),
  ];
  const all = deadline(promptMs, Promise.all(answers), 'callers of other keys');
  assert.equal(await all, ['random bytes', 'signed', 'signed']);
}

/** Waits for the reply of a call while everything else is used, at least once. */
async function meanwhile(device: TwoLibraries, call: Promise<string>): Promise<string> {
  let outcome: string | undefined;
  const done = call.then((value) => {
    outcome = value;
  });
  do {
    await othersAreServed(device);
    await Promise.race([done, sleep(500)]);
  } while (outcome === undefined);
  return outcome;
}

/** Checks that Health, the description and the log name the library and the reason. */
async function isReported(device: TwoLibraries, reason: RegExp): Promise<void> {
  const { health, json } = await device.description();
  assert.is(health, 'degraded');
  matches(json, device.first.library.path, reason);
  const isLogged = async (): Promise<boolean> => {
    const log = await device.rig.log('keys');
    return log.includes(device.first.library.path) && reason.test(log);
  };
  // the log follows the first replies
  await until(5_000, `${reason} in the log`, isLogged);
}

/** The library behaves again: the same process of the service uses it. */
async function recovers(device: TwoLibraries, pid: number): Promise<void> {
  await device.first.library.behave();
  await device.signs('first');
  await othersAreServed(device);
  assert.is(await device.pid(), pid);
}

/** One that a PIN guard lets the library try again. */
const often = (name: string, what: string): string =>
  name === 'C_Login' ? `${what} times 1` : what;

test('serves everything else while a library needs 3 s for a function', async () => {
  await forEach(functions, async (device, name) => {
    await startMisbehaving(device, name, 'sleep 3000 times 2');
    assert.is(await meanwhile(device, device.sign('first')), 'signed');
    await recovers(device, await device.pid());
  });
});

test('stops within 6 s while a library hangs, and answers the call', async () => {
  await forEach(functions, async (device, name) => {
    await startMisbehaving(device, name, often(name, 'hang'));
    const signing = device.sign('first');
    await othersAreServed(device);
    await sleep(1_000);
    await othersAreServed(device);
    const startedAt = performance.now();
    await device.rig.stop('keys');
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < stopMs, `the stop took ${tookMs} ms`);
    const failure = await signing;
    matches(failure, /^Unavailable: /, device.first.library.path);
  });
});

test('ends a library that hangs, reports it and starts it again', async () => {
  await forEach(functions, async (device, name) => {
    await startMisbehaving(device, name, often(name, 'hang'));
    const failure = await meanwhile(device, device.sign('first'));
    matches(failure, /^Unavailable: .*hangs in C_[A-Za-z]+: /, device.first.library.path);
    await isReported(device, /hangs/);
    await recovers(device, await device.pid());
  });
});

for (const what of ['abort', 'segfault']) {
  test(`survives an ${what} of a library, reports it and starts the library again`, async () => {
    await forEach(functions, async (device, name) => {
      await startMisbehaving(device, name, often(name, what));
      const failure = await meanwhile(device, device.sign('first'));
      matches(failure, /^Unavailable: .*SIG(ABRT|SEGV) in C_[A-Za-z]+/, device.first.library.path);
      await isReported(device, /SIG(ABRT|SEGV)/);
      await recovers(device, await device.pid());
    });
  });
}

test('returns no wrong signature when the results of a library cannot be', async () => {
  const others = ['C_GetSlotList', 'C_FindObjects', 'C_GetAttributeValue'];
  await forEach([...functions, ...others], async (device, name) => {
    await startMisbehaving(device, name, 'garbage');
    const outcome = await meanwhile(device, device.sign('first'));
    matches(outcome, /^(signed$|Unavailable: |Failed: )/);
    await recovers(device, await device.pid());
  });
});

test.run();
