import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '../../src/dbus/bus.ts';
import { type Client, client } from '../../src/dbus/client.ts';
import { describeError } from '../../src/errors.ts';
import { modulesInterface, modulesService } from '../../src/interfaces/modules.ts';
import { importNode } from '../support/engine/images.ts';
import { PrivateEngine } from '../support/engine/private-engine.ts';
import { useEngine } from '../support/rig-engine.ts';
import type { Scene } from './scene.ts';

const image = 'localhost/edge-agent:1';
const agentMs = 120_000;

/** Runs the agent on an engine of its own and shows what it got; says so where no engine can run. */
export async function runAgent(scene: Scene): Promise<void> {
  const { rig, account, signal } = scene;
  const engine = await startEngine(scene);
  if (engine === undefined) return;
  signal.throwIfAborted();
  const main = join(import.meta.dirname, '../../../test/demo/agent.mjs');
  await importNode(engine, { tag: image, main });
  account.say(`engine at ${engine.socketPath}, with the image ${image}`);
  await useEngine(rig, engine);
  await using bus = await rig.connect();
  for (const line of await agentLog(bus, signal)) account.say(`edgeAgent: ${line}`);
  account.tryThis(`docker -H unix://${engine.socketPath} ps`);
  account.tryThis(`docker -H unix://${engine.socketPath} logs edgeAgent`);
  account.tryThis(`busctl --address=${rig.address} tree ${modulesService.busName}`);
}

async function startEngine({ account, cleanup }: Scene): Promise<PrivateEngine | undefined> {
  const missing = await PrivateEngine.missing();
  try {
    if (missing !== undefined) throw new Error(missing);
    return cleanup.use(await PrivateEngine.start());
  } catch (error) {
    account.say(`No container engine can run here (${describeError(error)}).`);
    account.say('The other services do not need one.');
    return undefined;
  }
}

/** Calls the runtime, which makes it start, and waits for the agent's last word. */
async function agentLog(bus: Bus, signal: AbortSignal): Promise<readonly string[]> {
  const modules = client(bus, modulesService, modulesInterface);
  await modules.GetSystemInfo({}, { signal });
  const end = Date.now() + agentMs;
  while (Date.now() < end) {
    const lines = await logLines(modules, signal);
    if (lines.some((line) => /^(all is well|failed)/.test(line))) return lines;
    await sleep(200, undefined, { signal });
  }
  const { json } = await modules.Describe({}, { signal });
  return [`silent for ${agentMs / 1000} s; the runtime says ${json}`];
}

async function logLines(
  modules: Client<typeof modulesInterface>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    const { log } = await modules.GetLogs({ name: 'edgeAgent' }, { signal });
    return log.toString('utf8').trim().split('\n');
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Error) return []; // not created yet
    throw error;
  }
}
