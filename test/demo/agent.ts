import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '../../src/dbus/bus.ts';
import { type Client, client } from '../../src/dbus/client/client.ts';
import { modulesInterface, modulesService } from '../../src/interfaces/modules.ts';
import { importNode } from '../support/engine/images.ts';
import type { PrivateEngine } from '../support/engine/private-engine.ts';

/** The image of the agent that the rig's modules.yaml names. */
export const agentImage = 'localhost/edge-agent:1';

const agentMs = 120_000;
/** What fails of the same for so long needs somebody. */
const hopelessMs = 15_000;

/** Gives an engine the image of the agent. */
export async function loadAgent(engine: PrivateEngine): Promise<void> {
  const main = join(import.meta.dirname, '../../../test/demo/agent.mjs');
  await importNode(engine, { tag: agentImage, main });
}

/** What the runtime shows of the agent. */
interface Shown {
  readonly State: string;
  readonly LastError: string;
}

/**
 * Calls the runtime, which makes it start, and waits for the agent's last word; `onChange` hears what it waits for
 * meanwhile. An agent that fails again and again of the same is not waited for.
 */
export async function agentLog(
  bus: Bus,
  signal: AbortSignal,
  onChange: (text: string) => void = () => undefined,
): Promise<readonly string[]> {
  const modules = client(bus, modulesService, modulesInterface);
  await modules.GetSystemInfo({}, { signal });
  const end = Date.now() + agentMs;
  let before = '';
  let since = Date.now();
  while (Date.now() < end) {
    const lines = await logLines(modules, signal);
    if (lines.some((line) => /^(all is well|failed)/.test(line))) return lines;
    const { State: state, LastError: error } = await agentShown(modules, signal);
    const text = error === '' ? state : `${state}: ${error}`;
    if (text !== before) {
      onChange(text);
      before = text;
      since = Date.now();
    }
    if (error !== '' && Date.now() - since > hopelessMs) return [`does not run: ${error}`];
    await sleep(200, undefined, { signal });
  }
  return [`silent for ${agentMs / 1000} s; the runtime says: ${before}`];
}

async function agentShown(
  modules: Client<typeof modulesInterface>,
  signal: AbortSignal,
): Promise<Shown> {
  const { json } = await modules.Describe({}, { signal });
  const { objects } = JSON.parse(json) as { objects: Readonly<Record<string, Shown>> }; // as the table has it
  return objects['edgeAgent'] ?? { State: 'not there', LastError: '' };
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
