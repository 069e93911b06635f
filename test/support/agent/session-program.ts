/**
 * edgeAgent as a program in its container: it finds the sockets and its identity in its environment, and does what a test
 * asks on its input, one JSON document per line. With the argument `hub` it is edgeHub, which only starts.
 */
import { env, stdin } from 'node:process';
import { createInterface } from 'node:readline';
import { ApiError, WireError } from './agent-http.ts';
import { type Deployment, EdgeAgent, type Pass } from './edge-agent.ts';
import { startEdgeHub } from './edge-hub.ts';
import type { DesiredModule } from './module-spec.ts';
import type { ListedIdentity, ListedModule } from './wire-forms.ts';

/** What a test asks of the agent. */
export interface AgentCommands {
  start(): Promise<void>;
  modules(): Promise<readonly ListedModule[]>;
  identities(): Promise<readonly ListedIdentity[]>;
  reconcile(wanted: Deployment): Promise<Pass>;
  updateSelf(module: DesiredModule): Promise<void>;
  reprovision(): Promise<void>;
  /** The requests since the last call. */
  sent(): Promise<readonly string[]>;
}

/** A command with its arguments. */
export interface SessionRequest {
  readonly command: keyof AgentCommands;
  readonly args: readonly unknown[];
}

/** Its outcome; `status` is there when the runtime has refused it. */
export type SessionReply =
  | { readonly result: unknown }
  | { readonly error: string; readonly status?: number };

function socketOf(variable: string): string {
  const uri = env[variable] ?? '';
  if (!uri.startsWith('unix:///')) throw new WireError(`${variable} is "${uri}"`);
  return uri.slice('unix://'.length);
}

function agentCommands(): AgentCommands {
  const agent = new EdgeAgent({
    managementSocket: socketOf('IOTEDGE_MANAGEMENTURI'),
    workloadSocket: socketOf('IOTEDGE_WORKLOADURI'),
    environment: new Map(Object.entries(env).map(([name, value]) => [name, value ?? ''])),
  });
  return {
    start: () => agent.start(),
    modules: async () => [...(await agent.modules()).values()],
    identities: () => agent.identities(),
    reconcile: async (wanted) => {
      const { isSettled, errors } = await agent.reconcile(wanted);
      return { isSettled, errors: errors.map(({ message, status }) => ({ message, status })) };
    },
    updateSelf: (module) => agent.updateSelf(module),
    reprovision: () => agent.reprovision(),
    sent: () => Promise.resolve(agent.management.sent.splice(0)),
  };
}

async function replyTo(commands: AgentCommands, line: string): Promise<SessionReply> {
  try {
    const { command, args } = JSON.parse(line) as SessionRequest; // of the test
    const run = commands[command] as (...given: readonly unknown[]) => Promise<unknown>;
    return { result: (await run(...args)) ?? null };
  } catch (error) {
    const status = error instanceof ApiError ? { status: error.status } : {};
    return { error: error instanceof Error ? error.message : String(error), ...status };
  }
}

const print = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};

async function runAgent(): Promise<void> {
  const commands = agentCommands();
  for await (const line of createInterface({ input: stdin })) print(await replyTo(commands, line));
}

async function runHub(): Promise<void> {
  const { chain } = await startEdgeHub(
    {
      workloadSocket: socketOf('IOTEDGE_WORKLOADURI'),
      generationId: env['IOTEDGE_MODULEGENERATIONID'] ?? '',
      deviceHostName: env['EdgeDeviceHostName'] ?? '',
    },
    new Date(),
  );
  print({ chain });
}

void (process.argv[2] === 'hub' ? runHub() : runAgent());
