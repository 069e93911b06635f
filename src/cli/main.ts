import { describeError } from '../errors.ts';
import { exitCodes } from './command.ts';
import { iotedgectl } from './iotedgectl.ts';
import { LineWriter } from './line-writer.ts';

async function main(): Promise<number> {
  const out = new LineWriter(process.stdout);
  const err = new LineWriter(process.stderr);
  const code = await iotedgectl(process.argv.slice(2), out.print, err.print);
  const failure = await out.failure();
  if (failure !== undefined) {
    err.print(`iotedgectl: the output could not be written: ${describeError(failure)}`);
  }
  const isSilent = (await err.failure()) !== undefined;
  return code === exitCodes.ok && (failure !== undefined || isSilent) ? exitCodes.failed : code;
}

void main().then((code) => {
  process.exitCode = code;
});
