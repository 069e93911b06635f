import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { deadline, until } from '../deadline.ts';
import type { BootedSystem } from './booted-system.ts';

const waitMs = 30_000;
/** Of each terminal of the system. */
const settings = 'for terminal in /dev/pts/[0-9]*; do stty -F "$terminal" -a; done';

/** The same wherever the tests run: `script` runs the shell of the user, and login passes the type of the terminal on. */
const environment = {
  PATH: process.env['PATH'],
  HOME: '/root',
  SHELL: '/bin/sh',
  TERM: 'xterm',
  LANG: 'C.UTF-8',
};

/** The only terminal of a booted system, and what a user types there. */
export class Terminal implements AsyncDisposable {
  readonly #system: BootedSystem;
  readonly #process: ChildProcess;
  #printed = '';
  #seen = 0;

  private constructor(system: BootedSystem, process: ChildProcess) {
    this.#system = system;
    this.#process = process;
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#printed += text;
      });
    }
  }

  /** Runs a command of root at a new terminal. */
  static open(system: BootedSystem, command: string): Terminal {
    const [nsenter = '', ...args] = system.enter;
    // a shell that stays the parent of `login` is ended by its vhangup(2), and the terminal with it
    const script = [...args, 'script', '-qec', `exec ${command}`, '/dev/null'];
    const options = { stdio: 'pipe', env: environment } as const;
    const child = spawn('setpriv', ['--pdeathsig=KILL', nsenter, ...script], options);
    child.stdin.on('error', () => undefined); // the command has ended: what is waited for next fails
    return new Terminal(system, child);
  }

  /** Waits for a prompt, and types a line. */
  async type(line: string, prompt: string): Promise<void> {
    await this.see(prompt);
    this.#process.stdin?.write(`${line}\n`);
  }

  /** Waits until a program asks for a password, and types it. */
  async typePassword(password: string): Promise<void> {
    await this.see('Password: ');
    // what is typed before it has turned the echo off, it discards
    await until(waitMs, 'the echo to be off', async () =>
      (await this.#system.output(settings)).includes(' -echo '),
    );
    this.#process.stdin?.write(`${password}\n`);
  }

  /** Waits until the text is printed after what was seen so far. */
  async see(text: string): Promise<void> {
    const what = () => `"${text}" after:\n${this.#printed}`;
    await until(waitMs, what, () => this.#printed.includes(text, this.#seen));
    this.#seen = this.#printed.indexOf(text, this.#seen) + text.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await deadline(waitMs, once(this.#process, 'exit'), 'the terminal to end');
  }
}
