import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs in the process of the service: its clock, its ends, and intervals of a minute, which last 0.3 s. */
const hook = (directory: string): string => `
import fs from "node:fs";
const file = (name) => ${JSON.stringify(directory)} + "/" + name;
const read = (name) => Number(fs.readFileSync(file(name), "utf8"));
const Real = Date;
globalThis.Date = class extends Real {
  constructor(...given) {
    if (given.length === 0) super(Real.now() + read("clock"));
    else super(...given);
  }
  static now() { return Real.now() + read("clock"); }
};
const [later, every] = [setTimeout, setInterval];
const shorter = (ms) => (ms === 60000 ? 300 : ms);
globalThis.setTimeout = (action, ms, ...rest) => later(action, shorter(ms), ...rest);
globalThis.setInterval = (action, ms, ...rest) => every(action, shorter(ms), ...rest);
const uptime = performance.now.bind(performance);
performance.now = () => uptime() * 200;
const { rename } = fs.promises;
const countDown = () => {
  const left = read("kill");
  if (left === 0) return;
  fs.writeFileSync(file("kill"), String(left - 1));
  if (left === 1) process.kill(process.pid, fs.readFileSync(file("signal"), "utf8"));
};
fs.promises.rename = async (from, to) => {
  const isRecord = String(to).includes("/certificates/certificates/");
  if (isRecord) countDown();
  await rename(from, to);
  if (isRecord) countDown();
};
`;

/** The clock of a service and its end right before or after the change of a record, decided by files. */
export class FaultyProcess implements AsyncDisposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(): Promise<FaultyProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-faults-'));
    const faults = new FaultyProcess(directory);
    await chmod(directory, 0o755);
    await faults.setClock(0);
    await faults.killAt(0);
    await chmod(join(directory, 'kill'), 0o666);
    return faults;
  }

  /** Variables for the environment of the service. */
  get environment(): Readonly<Record<string, string>> {
    const url = `data:text/javascript,${encodeURIComponent(hook(this.#directory))}`;
    return { NODE_OPTIONS: `--import ${url}` };
  }

  /** Sets the clock of the service, in milliseconds from that of the machine; it may read the file at any time. */
  async setClock(aheadMs: number): Promise<void> {
    const [file, next] = [join(this.#directory, 'clock'), join(this.#directory, 'clock.new')];
    await writeFile(next, String(aheadMs));
    await rename(next, file);
  }

  /** Sends a signal to the process before (2n - 1) or after (2n) the n-th change of a record from now on; 0 for never. */
  async killAt(count: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await writeFile(join(this.#directory, 'signal'), signal);
    await writeFile(join(this.#directory, 'kill'), String(count));
  }

  /** Whether the process was sent the signal, or never is. */
  async isOver(): Promise<boolean> {
    return (await readFile(join(this.#directory, 'kill'), 'utf8')) === '0';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true });
  }
}
