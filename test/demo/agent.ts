import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '../../src/dbus/bus.ts';
import { type Client, client } from '../../src/dbus/client/client.ts';
import { modulesInterface, modulesService } from '../../src/interfaces/modules.ts';
import { type Importer, importNode } from '../support/engine/images.ts';

/** The image of the agent in the rig's modules.yaml. */
export const agentImage = 'localhost/edge-agent:1';

const agentMs = 120_000;
/** An agent that fails with the same error for so long is not awaited any more. */
const giveUpMs = 15_000;

/** Imports the image of the agent. */
export async function loadAgent(engine: Importer): Promise<void> {
  const main = join(import.meta.dirname, '../../../test/demo/agent.mjs');
  await importNode(engine, { tag: agentImage, main });
}

/** The properties of the agent in the Module Runtime. */
interface Shown {
  readonly State: string;
  readonly LastError: string;
}

/**
 * Calls the runtime, which activates it, and waits for the agent's final line; `onChange` is notified of the agent's
 * state meanwhile. Gives up on an agent that keeps failing with the same error.
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
    if (error !== '' && Date.now() - since > giveUpMs) return [`does not run: ${error}`];
    await sleep(200, undefined, { signal });
  }
  return [`silent for ${agentMs / 1000} s; state of the runtime: ${before}`];
}

async function agentShown(
  modules: Client<typeof modulesInterface>,
  signal: AbortSignal,
): Promise<Shown> {
  const { json } = await modules.Describe({}, { signal });
  const { objects } = JSON.parse(json) as { objects: Readonly<Record<string, Shown>> }; // typed by the interface table
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
