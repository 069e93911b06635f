/** Runs the commands of the documents for administrators, one after the other, as somebody who copies them. */
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BootedCloud } from '../../support/boot/booted-cloud.ts';
import { BootedSystem } from '../../support/boot/booted-system.ts';
import { outputOf } from '../../support/command.ts';
import { untilFound } from '../../support/deadline.ts';
import { DocumentShell } from '../../support/documents/document-shell.ts';
import { type Step, stepsOf, withValues } from '../../support/documents/shell-document.ts';
import { importNode } from '../../support/engine/images.ts';
import { runnable } from '../../support/not-runnable.ts';
import { makePackages } from '../../support/packages/builders.ts';
import { scopeId } from '../../support/rig/rig-config.ts';

const suiteOfDocuments = suite('documents for administrators');
const test = runnable('container-engine', runnable('booted-system', suiteOfDocuments));
const checkout = join(import.meta.dirname, '../../../..');
const agent = 'localhost/edge-agent:1';
/** They need a TPM or a card. */
const untried = ['TPM 2.0', 'PIV card'];
const otherDistributions = 'Other distributions';

async function stepsIn(name: string, values: Readonly<Record<string, string>>) {
  const text = await readFile(join(checkout, 'docs', name), 'utf8');
  return stepsOf(name, withValues(text, values));
}

const installation = () => stepsIn('install.md', { NODE: '/usr/local/bin/node' });
const provisioning = () => stepsIn('hsm-to-provisioned.md', { SCOPE_ID: scopeId, AGENT: agent });

/** A system without the product, and the shell of its administrator, whose directory has the packages. */
class Reader implements AsyncDisposable {
  readonly system: BootedSystem;
  readonly #shell: DocumentShell;

  constructor(system: BootedSystem) {
    this.system = system;
    this.#shell = new DocumentShell(system);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.system[Symbol.asyncDispose]();
  }

  /** Copies a file into the system. */
  copy(file: string, to: string): Promise<void> {
    return copyFile(file, this.system.path(to));
  }

  /** Runs the steps of sections, which must exist. */
  async follow(steps: readonly Step[], ...sections: readonly string[]): Promise<void> {
    for (const section of sections) {
      const found = steps.filter((step) => step.section === section);
      assert.ok(found.length > 0, `no commands in ${section}`);
      for (const step of found) await this.#shell.run(step);
    }
  }

  /** Runs the steps of a section again until they succeed, where the reader waits for something. */
  async followUntilDone(steps: readonly Step[], section: string): Promise<void> {
    let failure: unknown;
    const what = () => `${section}: ${String(failure)}`;
    for (const step of steps.filter((each) => each.section === section)) {
      await untilFound(90_000, what, async () => {
        try {
          await this.#shell.run(step);
          return true;
        } catch (error) {
          failure = error;
          return undefined;
        }
      });
    }
  }
}

/** Copies packages of this build into the reader's directory. */
async function copyPackages(reader: Reader): Promise<void> {
  const made = await mkdtemp(join(tmpdir(), 'iotedge-documents-'));
  try {
    // compression takes more than a minute of a processor, and changes nothing for apt
    for (const file of await makePackages(made, ['--uncompressed']))
      await reader.copy(file, join('/root', basename(file)));
  } finally {
    await rm(made, { recursive: true });
  }
}

/** Starts the engine with what the Debian 13 package only recommends, and without changes of /proc/sys, the machine's. */
async function startEngine(reader: Reader): Promise<void> {
  const { system } = reader;
  await system.write('/etc/docker/daemon.json', '{"ip-forward": false}\n');
  await system.write(
    '/etc/systemd/system/docker.service.d/test.conf',
    '[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n',
  );
  const program = (await outputOf('sh', ['-c', 'command -v docker'])).toString().trim();
  await reader.copy(program, '/usr/local/bin/docker');
  await system.output([
    'systemctl',
    'unmask',
    'containerd.service',
    'docker.service',
    'docker.socket',
  ]);
  await system.output(['systemctl', 'start', 'docker.service']);
  const host = `unix://${system.path('/run/docker.sock')}`;
  const docker = async (...args: readonly string[]) =>
    (await outputOf('docker', ['-H', host, ...args])).toString();
  await importNode({ docker }, { tag: agent, main: join(checkout, 'test/demo/agent.mjs') });
}

test('go from packages to a provisioned device with its first module, and back', async () => {
  const [install, provision] = await Promise.all([installation(), provisioning()]);
  await using reader = new Reader(await BootedSystem.boot(false));
  const { system } = reader;
  await copyPackages(reader);
  await reader.follow(install, 'Debian and Ubuntu');
  await startEngine(reader);
  await reader.follow(install, 'First configuration');
  await reader.followUntilDone(install, 'State and logs'); // until the runtime finds the engine

  const [before, after] = ['7 Provision', '8 First module'];
  const chapters = [...new Set(provision.map(({ section }) => section))];
  await reader.follow(provision, ...chapters.filter((name) => name < before));
  const root = await system.output('cat /etc/iotedge/certs/trusted-ca.pem');
  await using cloud = await BootedCloud.start(system, { name: 'gateway-1', root });
  await system.write('/etc/iotedge/certs/cloud.pem', await cloud.authority.certificate());
  await system.write(
    '/etc/iotedge/identity.d/cloud.yaml',
    `provisioning: {global_endpoint: '${cloud.endpoint}'}\ncloud: {trusted_ca: '/etc/iotedge/certs/cloud.pem'}\n`,
  );
  await system.output(['iotedgectl', 'config', 'apply']);
  await reader.follow(provision, before);
  await reader.followUntilDone(provision, after);
  const end = await untilFound(30_000, 'the end of the agent', async () => {
    const log = await system.output('docker logs edgeAgent');
    return /^(all is well|failed.*)$/m.exec(log)?.[0];
  });
  assert.is(end, 'all is well');
  assert.equal(
    chapters.filter((name) => name > after),
    untried,
  );

  await reader.follow(install, 'Upgrade', 'Before you copy this disk');
  assert.is(await system.output('find /var/lib/iotedge /etc/credstore.encrypted -type f'), '');
  assert.is(await system.output('docker ps --all --quiet'), '');
  await reader.follow(install, 'Remove');
  assert.is(
    await system.output('ls -d /etc/iotedge /var/lib/iotedge /usr/lib/iotedge || true'),
    '',
  );
});

test('install from a checkout on other distributions', async () => {
  await using reader = new Reader(await BootedSystem.boot(false));
  const [build, ...gateway] = (await installation()).filter(
    ({ section }) => section === otherDistributions,
  );
  const tree = await mkdtemp(join(tmpdir(), 'iotedge-tree-'));
  try {
    const commands = (build?.commands ?? '')
      .replaceAll('/tmp/iotedge', join(tree, 'iotedge'))
      .replace('npm run setup\n', ''); // this checkout is set up
    await outputOf('bash', ['-euc', commands], { cwd: checkout });
    await reader.copy(join(tree, 'iotedge.tar.gz'), '/tmp/iotedge.tar.gz');
  } finally {
    await rm(tree, { recursive: true });
  }
  await reader.follow(gateway, otherDistributions);
});

suiteOfDocuments.run();
