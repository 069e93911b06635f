import { once } from 'node:events';
import { join } from 'node:path';
import { Cleanup } from '../../src/service/cleanup.ts';
import { Rig } from '../support/rig/rig.ts';
import { startRigCloud } from '../support/rig/rig-cloud.ts';
import { shellWord } from '../support/shell-word.ts';
import { Account } from './account.ts';
import { provision } from './identity-step.ts';
import { runAgent } from './modules-step.ts';
import type { Scene } from './scene.ts';
import { showToken } from './token-step.ts';

const iotedgectl = join(import.meta.dirname, '../../bin/iotedgectl.cjs');

/** Performs the steps of the main job, then runs until it is stopped. */
export async function demonstrate({ stay }: { readonly stay: boolean }): Promise<void> {
  const account = new Account();
  const { signal, watch } = stopSignal();
  try {
    await perform(account, signal, stay);
    account.print('Nothing is left behind.');
  } finally {
    clearInterval(watch);
  }
}

async function perform(account: Account, signal: AbortSignal, stay: boolean): Promise<void> {
  await using cleanup = new Cleanup();
  try {
    const rig = await performSteps({ account, cleanup, signal });
    if (stay) {
      account.print('\nAll of this keeps running until you press Ctrl-C.');
      await stopped(signal, rig);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  account.print('\nStopping.');
}

/** Aborts on a signal, when the output is closed, or when npm has ended, which cannot forward a SIGKILL. */
function stopSignal(): { readonly signal: AbortSignal; readonly watch: NodeJS.Timeout } {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  process.stdout.on('error', stop);
  process.stderr.on('error', stop);
  const parent = process.ppid;
  const underNpm = process.env['npm_lifecycle_event'] !== undefined;
  const watch = setInterval(() => {
    if (underNpm && process.ppid !== parent) stop();
  }, 500);
  return { signal: controller.signal, watch };
}

/** Waits until the demonstration is stopped; throws when the bus has ended, since the shown commands fail without it. */
async function stopped(signal: AbortSignal, { busEnded }: Rig): Promise<void> {
  signal.throwIfAborted();
  const ended = await Promise.race([once(signal, 'abort').then(() => undefined), busEnded]);
  if (ended !== undefined) throw new Error(`the bus has ended unexpectedly (${ended})`);
}

async function performSteps({ account, cleanup, signal }: Omit<Scene, 'rig'>): Promise<Rig> {
  account.step(2, 'A system bus, polkit and four services of their own');
  const rig = cleanup.use(await Rig.start());
  signal.throwIfAborted();
  const scene: Scene = { rig, account, cleanup, signal };
  account.print(`bus ${rig.address}, everything else in ${rig.directory}`);
  account.print('Each service starts as its own user when it is called, and ends when it is idle.');
  account.tryThis(`busctl --address=${rig.address} list`);

  account.step(3, 'Keys that were made in a token and never leave it');
  await showToken(scene);
  signal.throwIfAborted();

  account.step(4, 'A cloud on loopback that requests client certificates');
  const old = cleanup.use(await startRigCloud(rig, { maxVersion: 'TLSv1.2' }));
  const cloud = cleanup.use(await startRigCloud(rig));
  account.print(`${cloud.endpoint} with TLS 1.3, ${old.endpoint} with TLS 1.2 at most`);
  signal.throwIfAborted();

  account.step(5, 'The device gets its identity');
  await provision(scene, { cloud, old });
  signal.throwIfAborted();

  account.step(6, 'The agent module runs');
  await runAgent(scene);
  signal.throwIfAborted();

  account.step(7, 'Look around');
  showAround(scene);
  return rig;
}

function showAround({ rig, account }: Scene): void {
  const busctl = `busctl --address=${rig.address}`;
  const gdbus = `DBUS_SYSTEM_BUS_ADDRESS=${rig.address} gdbus call --system`;
  account.tryThis(`${busctl} tree org.iotedge.Keys1`);
  account.tryThis(`${busctl} introspect org.iotedge.Identity1 /org/iotedge/Identity1`);
  account.tryThis(
    `${gdbus} --dest org.iotedge.Keys1 --object-path /org/iotedge/Keys1 --method org.iotedge.Keys1.GetPublicKey device-id '{}'`,
  );
  const command = `DBUS_SYSTEM_BUS_ADDRESS=${rig.address} ${shellWord(process.execPath)} ${shellWord(iotedgectl)}`;
  account.tryThis(`${command} status`);
  account.tryThis(`${command} modules list`);
  account.tryThis(`${command} modules logs -f edgeAgent`);
  account.print(
    'Commands that read the configuration need its directory, which is not /etc/iotedge here:',
  );
  const config = `--config-dir ${rig.directory}/config`;
  account.print('(the check finds that all this is gone after a boot)');
  account.tryThis(`${command} check ${config}`);
  account.tryThis(`${command} modules exec-command edgeAgent ${config}`);
  account.print('The logs of the services, one file each:');
  account.tryThis(`tail -n 5 ${rig.directory}/log/*.log`);
  account.print('As a user without grants, which fails with Access denied:');
  account.tryThis(
    `setpriv --reuid=65534 --regid=65534 --clear-groups ${busctl} call org.iotedge.Identity1 /org/iotedge/Identity1 org.iotedge.Identity1 Reprovision 'a{sv}' 0`,
  );
}
