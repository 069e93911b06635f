import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BootedSystem } from '../../support/boot/booted-system.ts';
import { runnable } from '../../support/not-runnable.ts';
import { type Probe, resultsOf } from '../../support/systemd/probes.ts';
import { processAttempts } from '../../support/systemd/process-attempts.ts';
import { type Attempt, attempts, surroundings } from '../../support/systemd/sandbox-attempts.ts';
import { systemCallAttempts } from '../../support/systemd/system-call-attempts.ts';

const suiteOfSandbox = suite('sandbox of the units');
const test = runnable('booted-system', suiteOfSandbox);

const controlsPids =
  'test -d /sys/fs/cgroup/pids || grep -w pids /sys/fs/cgroup/cgroup.controllers';
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
  const has = {
    unified: (await system.output('stat -f -c %T /sys/fs/cgroup')) === 'cgroup2fs',
    pids: (await system.run(controlsPids)).code === 0,
  };
  const all = [...attempts, ...systemCallAttempts, ...processAttempts].filter(
    ({ needs }) => needs === undefined || has[needs],
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

test('leaves no shared memory of its user behind, as RemoveIPC= says', async () => {
  await using system = await BootedSystem.boot();
  const create = (key: number, reset: readonly string[]): Probe => ({
    unit: 'iotedge-keys.service',
    dropIn: ['PrivateIPC=no', ...reset], // whose namespace would end with the unit
    perl: `defined shmget(${key}, 4096, 01600)`,
  });
  const left = async (key: number) =>
    (await system.run(['perl', '-e', `exit !defined shmget(${key}, 0, 0)`])).code === 0;
  assert.equal(await resultsOf(system, [create(4712, [])]), ['done']);
  assert.is(await left(4712), false);
  assert.equal(await resultsOf(system, [create(4713, ['RemoveIPC=no'])]), ['done']);
  assert.is(await left(4713), true);
});

test('bears the helpers of the Certificates service, to which root is root', async () => {
  await using system = await BootedSystem.boot();
  const helper = '/usr/local/libexec/submit';
  const script = `#!/bin/sh
set -e
key=$(mktemp)
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$key"
openssl req -x509 -new -key "$key" -subj /CN=x -days 1 | openssl x509 -noout -subject
rm "$key"
getent hosts localhost
exit "$(stat -c %u ${helper})"
`;
  await system.output(`mkdir -p /usr/local/libexec; cat >${helper} <<'END_OF_FILE'
${script}END_OF_FILE
chmod 755 ${helper}`);
  const run = (dropIn: readonly string[]): Probe => ({
    unit: 'iotedge-certificates.service',
    dropIn,
    perl: `do { my $code = system('${helper}'); $! = $code >> 8; $code == 0 }`,
  });
  const [inSandbox, without] = await resultsOf(system, [run([]), run(['NoExecPaths=/usr/bin'])]);
  assert.match(inSandbox ?? '', /done$/);
  assert.not.match(without ?? '', /done$/);
});

suiteOfSandbox.run();
