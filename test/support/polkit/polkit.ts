import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bus } from '../../../src/dbus/bus.ts';
import { deadline, until } from '../deadline.ts';
import { keepMounts, newMountNamespace } from '../system/mount-namespace.ts';

const name = 'org.freedesktop.PolicyKit1';

/**
 * A real polkitd on a private bus, with the actions of this project and the given rules. Its directories are
 * compiled in, so they are replaced by bind mounts in a mount namespace; this needs root.
 */
export class PrivatePolkit implements AsyncDisposable {
  readonly #bus: Bus;
  readonly #address: string;
  readonly #directory: string;
  #daemon: ChildProcess | undefined;

  private constructor(bus: Bus, address: string, directory: string) {
    this.#bus = bus;
    this.#address = address;
    this.#directory = directory;
  }

  /** Starts polkitd on the bus at the address; `bus` is a connection to it. */
  static async start(bus: Bus, address: string, rules: string): Promise<PrivatePolkit> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-polkit-'));
    await chmod(directory, 0o755); // polkitd reads it as its own user
    const polkit = new PrivatePolkit(bus, address, directory);
    await mkdir(join(directory, 'share/actions'), { recursive: true });
    await mkdir(join(directory, 'share/rules.d'));
    await mkdir(join(directory, 'rules.d'));
    const derived = join(import.meta.dirname, '../../../../dbus-policy');
    for (const file of await readdir(derived)) {
      if (!file.endsWith('.policy')) continue;
      await cp(join(derived, file), join(directory, 'share/actions', file));
    }
    await polkit.#write(rules);
    await polkit.run();
    return polkit;
  }

  /** Replaces the rules; resolves when polkitd has emitted `Changed`. */
  async setRules(rules: string): Promise<void> {
    let notify: () => void = () => undefined;
    const changed = new Promise<void>((resolve) => {
      notify = resolve;
    });
    const match = { interface: `${name}.Authority`, member: 'Changed' };
    await using _ = await this.#bus.subscribe(match, notify);
    await this.#write(rules);
    await deadline(10_000, changed, 'polkitd to read its rules');
  }

  /** Removes the declaration of a service's actions. */
  async removeActions(service: string): Promise<void> {
    await rm(join(this.#directory, `share/actions/org.iotedge.${service}1.policy`));
  }

  /** Restarts polkitd after `stop`; resolves when it owns its name. */
  async run(): Promise<void> {
    const script =
      `${keepMounts} && mount --bind "$1" /usr/share/polkit-1 && ` +
      'mount --bind "$2" /etc/polkit-1/rules.d && exec /usr/lib/polkit-1/polkitd --no-debug';
    const directories = [join(this.#directory, 'share'), join(this.#directory, 'rules.d')];
    const [program, ...prefix] = newMountNamespace;
    this.#daemon = spawn(program, [...prefix, 'sh', '-c', script, 'sh', ...directories], {
      stdio: 'ignore',
      env: { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: this.#address },
    });
    await until(10_000, 'polkitd to start', () => this.#hasName());
  }

  /** Suspends or continues polkitd. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#daemon?.kill(signal);
  }

  /** Stops polkitd; resolves when the bus has announced that the name has no owner. */
  async stop(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const exit = once(daemon, 'exit');
    daemon.kill('SIGKILL');
    await deadline(5000, exit, 'polkitd to stop');
    await until(5000, 'polkitd to leave the bus', async () => !(await this.#hasName()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #hasName(): Promise<boolean> {
    return (await this.#bus.nameOwner(name)) !== undefined;
  }

  async #write(rules: string): Promise<void> {
    const file = join(this.#directory, '50-test.rules');
    await writeFile(file, rules, { mode: 0o644 });
    await rename(file, join(this.#directory, 'rules.d/50-test.rules'));
  }
}
