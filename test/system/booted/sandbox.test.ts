import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BootedSystem } from '../../support/boot/booted-system.ts';
import { runnable } from '../../support/not-runnable.ts';
import { type Probe, resultsOf } from '../../support/systemd/probes.ts';
import { type Attempt, attempts, surroundings } from '../../support/systemd/sandbox-attempts.ts';
import { systemCallAttempts } from '../../support/systemd/system-call-attempts.ts';

const suiteOfSandbox = suite('sandbox of the units');
const test = runnable('booted-system', suiteOfSandbox);

const services = ['keys', 'certificates', 'identity', 'modules'];

/** The units agree but for their exceptions, so one of them is tried with everything. */
function isTried({ open = [], only = services }: Attempt, service: string): boolean {
  return only.includes(service) && (service === 'keys' || open.length > 0 || only !== services);
}

function probeOf(
  { perl, without = [] }: Attempt,
  service: string,
  reset: readonly string[],
): Probe {
  return { unit: `iotedge-${service}.service`, dropIn: [...without, ...reset], perl };
}

function hasPassed({ stopped, passed }: Attempt, result: string): boolean {
  if (passed === 'another error') return /^(done|E\w+)$/.test(result) && result !== stopped;
  return result === (passed ?? 'done');
}

/** The results that differ from what is expected, with the names of their attempts. */
async function unexpected(
  system: BootedSystem,
  tried: readonly { readonly attempt: Attempt; readonly probe: Probe; readonly stops: boolean }[],
): Promise<readonly string[]> {
  const results = await resultsOf(
    system,
    tried.map(({ probe }) => probe),
  );
  return tried.flatMap(({ attempt, stops }, index) => {
    const result = results[index] ?? '';
    const isExpected = stops ? result === attempt.stopped : hasPassed(attempt, result);
    return isExpected ? [] : [`${attempt.name}: ${result}`];
  });
}

test('stops every attempt, and only the directive that it names does', async () => {
  await using system = await BootedSystem.boot();
  await system.output(surroundings);
  const isUnified = (await system.output('stat -f -c %T /sys/fs/cgroup')) === 'cgroup2fs';
  const all = [...attempts, ...systemCallAttempts].filter(
    ({ unified }) => unified === undefined || isUnified,
  );
  for (const service of services) {
    const tried = all
      .filter((attempt) => isTried(attempt, service))
      .map((attempt) => ({
        attempt,
        probe: probeOf(attempt, service, []),
        stops: attempt.open?.includes(service) !== true,
      }));
    assert.equal({ service, wrong: await unexpected(system, tried) }, { service, wrong: [] });
  }
  const withoutDirective = all.map((attempt) => ({
    attempt,
    probe: probeOf(attempt, attempt.only?.[0] ?? 'keys', attempt.reset),
    stops: false,
  }));
  assert.equal(await unexpected(system, withoutDirective), []);
});

suiteOfSandbox.run();
