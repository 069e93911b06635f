import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { until } from '../deadline.ts';
import type { Rig } from '../rig/rig.ts';
import type { ServiceName } from '../rig/rig-services.ts';

const script = fileURLToPath(
  new URL('../../../../test/support/system/service-manager.py', import.meta.url),
);

interface ManagerEvent {
  readonly message?: string;
  readonly stored?: readonly string[];
}

/** Starts a service of a rig as systemd does, with sockets of its units and those that the service has stored. */
export class ServiceManager {
  readonly #process: ChildProcess;
  #events: readonly ManagerEvent[] = [];

  private constructor(process: ChildProcess) {
    this.#process = process;
    let text = '';
    process.stdout?.on('data', (chunk) => {
      text += String(chunk);
      const lines = text.split('\n').slice(0, -1);
      this.#events = lines.map((line) => JSON.parse(line) as ManagerEvent);
    });
  }

  static async of(rig: Rig, service: ServiceName): Promise<ServiceManager> {
    const args = ['-c', await readFile(script, 'utf8'), rig.launcher(service), rig.directory];
    const manager = new ServiceManager(rig.spawn('python3', args));
    await manager.#next(0);
    return manager;
  }

  /** The messages of the service so far. */
  get messages(): readonly string[] {
    return this.#events.flatMap(({ message }) => message ?? []);
  }

  /** The names in the descriptor store. */
  get stored(): readonly string[] {
    return this.#events.findLast(({ stored }) => stored !== undefined)?.stored ?? [];
  }

  /** Listens on a path, for the service to be passed under a name. */
  listen(name: string, path: string): Promise<void> {
    return this.#command('listen', name, path);
  }

  /** Replaces the sockets in the store by descriptors that listen nowhere. */
  spoilStore(): Promise<void> {
    return this.#command('spoil');
  }

  /** Starts the service and waits until it is ready. */
  async start(): Promise<void> {
    const { length } = this.messages;
    await this.#command('start');
    const isReady = (): boolean => this.messages.slice(length).includes('READY=1');
    await until(30_000, 'the service to be ready', isReady);
  }

  async #command(...command: readonly string[]): Promise<void> {
    const { length } = this.#events;
    this.#process.stdin?.write(`${JSON.stringify(command)}\n`);
    await this.#next(length);
  }

  #next(count: number): Promise<void> {
    return until(10_000, 'the service manager', () => this.#events.length > count);
  }
}
