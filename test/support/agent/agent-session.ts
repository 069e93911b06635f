/** edgeAgent and edgeHub in their containers, driven by a test. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { importNode } from '../engine/images.ts';
import type { PrivateEngine } from '../engine/private-engine.ts';
import { ApiError, WireError } from './agent-http.ts';
import type { AgentCommands, SessionReply, SessionRequest } from './session-program.ts';

/** The image of both, which sleeps until a test starts the program. */
export const edgeImage = 'localhost/edge:1';
const program = ['node', '/app/main.mjs'];
const answerMs = 120_000;

/** Imports the image of both. */
export async function importEdgeImage(engine: PrivateEngine): Promise<void> {
  const main = fileURLToPath(new URL('session-program.js', import.meta.url));
  await importNode(engine, {
    tag: edgeImage,
    main,
    folder: fileURLToPath(new URL('.', import.meta.url)),
  });
}

/** Starts edgeHub; returns the chain with which it would serve. */
export async function startHubInContainer(engine: PrivateEngine): Promise<string> {
  const printed: unknown = JSON.parse(await engine.docker('exec', 'edgeHub', ...program, 'hub'));
  const { chain } = printed as { readonly chain: string }; // of the program
  return chain;
}

/** The agent while its container runs. */
export class AgentSession implements AsyncDisposable {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  #errors = '';

  constructor({ socketPath }: PrivateEngine) {
    const command = ['-H', `unix://${socketPath}`, 'exec', '-i', 'edgeAgent', ...program];
    this.#process = spawn('docker', command);
    this.#process.stderr.on('data', (text) => {
      this.#errors += String(text);
    });
    this.#process.stdin.on('error', () => undefined); // the end of the output says it
    this.#reader = createInterface({ input: this.#process.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** One command at a time; ApiError when the runtime has refused it, undefined when the container ended meanwhile. */
  async tryCall<K extends keyof AgentCommands>(
    command: K,
    ...args: Parameters<AgentCommands[K]>
  ): Promise<{ readonly result: Awaited<ReturnType<AgentCommands[K]>> } | undefined> {
    const request: SessionRequest = { command, args };
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const late = AbortSignal.timeout(answerMs);
    late.addEventListener('abort', () => this.#process.kill(), { once: true });
    const line: IteratorResult<string, unknown> = await this.#lines.next();
    if (late.aborted) throw new WireError(`${command}: no answer`);
    if (line.done === true) return undefined;
    const reply = JSON.parse(line.value, revive) as SessionReply; // of the program
    if ('result' in reply) return reply as { result: Awaited<ReturnType<AgentCommands[K]>> };
    if (reply.status !== undefined) throw new ApiError(reply.status, reply.error);
    throw new WireError(reply.error);
  }

  /** As `tryCall`, in a container that goes on. */
  async call<K extends keyof AgentCommands>(
    command: K,
    ...args: Parameters<AgentCommands[K]>
  ): Promise<Awaited<ReturnType<AgentCommands[K]>>> {
    const reply = await this.tryCall(command, ...args);
    if (reply === undefined) throw new WireError(`${command}: the agent ended: ${this.#errors}`);
    return reply.result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader.close();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    await ended;
  }
}

/** The times of modules. */
function revive(key: string, value: unknown): unknown {
  const isTime = (key === 'startTime' || key === 'time') && typeof value === 'string';
  return isTime ? new Date(value) : value;
}
