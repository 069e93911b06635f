import { describeError } from '../../src/errors.ts';
import { modulesService } from '../../src/interfaces/modules.ts';
import { PrivateEngine } from '../support/engine/private-engine.ts';
import { useEngine } from '../support/rig/rig-engine.ts';
import { agentImage, agentLog, loadAgent } from './agent.ts';
import type { Scene } from './scene.ts';

/** Runs the agent on a private engine and prints its output, or the reason why no engine can run. */
export async function runAgent(scene: Scene): Promise<void> {
  const { rig, account, signal } = scene;
  const engine = await startEngine(scene);
  if (engine === undefined) return;
  signal.throwIfAborted();
  await loadAgent(engine);
  account.print(`engine at ${engine.socketPath}, with the image ${agentImage}`);
  await useEngine(rig, engine);
  await using bus = await rig.connect();
  const report = (state: string): void => account.print(`the agent is ${state}`);
  for (const line of await agentLog(bus, signal, report)) account.print(`edgeAgent: ${line}`);
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
    account.print(`No container engine can run here (${describeError(error)}).`);
    account.print('The other services do not need one.');
    return undefined;
  }
}
