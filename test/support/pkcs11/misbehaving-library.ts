/** A service whose first library misbehaves, and what must hold for everybody else meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { Mutex } from '../../../src/service/mutex.ts';
import { deadline, until } from '../deadline.ts';
import { TwoLibraries } from './two-libraries.ts';

/** Those that the service calls before it can use a token, in this order. */
const startFunctions = [
  'C_Initialize',
  'C_GetTokenInfo',
  'C_OpenSession',
  'C_Login',
  'C_FindObjectsInit',
] as const;
/** The functions in which a library misbehaves: those of a start, and of a signature. */
export const functions = [...startFunctions, 'C_SignInit', 'C_Sign'] as const;

/** How long a caller who does not need the library may wait, and the start. */
const promptMs = 1_000;
const startMs = 1_500;
/** What the service adds to the time of a start: it waits for a token, but no longer than this. */
const waitMs = 1_000;

/** Services start one after the other: their starts are timed. */
const starts = new Mutex();

/** Runs a scenario for each function, all at once, each with a device; the failures name the function. */
export async function forEach(
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
export async function startMisbehaving(
  device: TwoLibraries,
  name: string,
  what: string,
): Promise<void> {
  await device.first.library.misbehave(name, what);
  // a machine that is busy starts slowly with every library
  const limitMs = Math.max(startMs, waitMs + 3 * device.startMs);
  const start = () => deadline(limitMs, device.keys.GetRandom({ count: 8 }), 'the first reply');
  await starts.run(start);
}

/** Checks that a text contains every part. */
export function matches(text: string, ...parts: readonly (string | RegExp)[]): void {
  for (const part of parts)
    assert.ok(typeof part === 'string' ? text.includes(part) : part.test(text), `${part}: ${text}`);
}

/** Checks that the callers of everything else are answered at once. */
export async function othersAreServed(device: TwoLibraries): Promise<void> {
  const answers = [
    device.keys.GetRandom({ count: 8 }).then(() => 'random bytes'),
    device.sign('file'),
    device.sign('second'),
  ];
  const all = deadline(promptMs, Promise.all(answers), 'callers of other keys');
  assert.equal(await all, ['random bytes', 'signed', 'signed']);
}

/** Waits for the reply of a call while everything else is used, at least once. */
export async function meanwhile(device: TwoLibraries, call: Promise<string>): Promise<string> {
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
export async function isReported(device: TwoLibraries, reason: RegExp): Promise<void> {
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
export async function recovers(device: TwoLibraries, pid: number): Promise<void> {
  await device.first.library.behave();
  await device.signs('first');
  await othersAreServed(device);
  assert.is(await device.pid(), pid);
}

/** A command that ends, or crashes, a library whenever it is called; in C_Login once, for the same PIN is not tried often. */
export const often = (name: string, what: string): string =>
  name === 'C_Login' ? `${what} times 1` : what;
