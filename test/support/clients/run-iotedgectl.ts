import { iotedgectl } from '../../../src/cli/iotedgectl.ts';

/** The exit code and the output of a command. */
export interface Printed {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of iotedgectl in this process. */
export async function runIotedgectl(...args: readonly string[]): Promise<Printed> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await iotedgectl(
    args,
    (text) => out.push(text),
    (text) => err.push(text),
  );
  return { code, out: out.join('\n'), err: err.join('\n') };
}
