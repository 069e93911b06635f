import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '../../src/dbus/bus.ts';
import { type Client, client } from '../../src/dbus/client.ts';
import { modulesInterface, modulesService } from '../../src/interfaces/modules.ts';
import { importNode } from '../support/engine/images.ts';
import type { PrivateEngine } from '../support/engine/private-engine.ts';

/** The image of the agent that the rig's modules.yaml names. */
export const agentImage = 'localhost/edge-agent:1';

const agentMs = 120_000;

/** Gives an engine the image of the agent. */
export async function loadAgent(engine: PrivateEngine): Promise<void> {
  const main = join(import.meta.dirname, '../../../test/demo/agent.mjs');
  await importNode(engine, { tag: agentImage, main });
}

/** Calls the runtime, which makes it start, and waits for the agent's last word. */
export async function agentLog(bus: Bus, signal: AbortSignal): Promise<readonly string[]> {
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
