import { describeError } from '../../errors.ts';
import { CacheMaker } from './cache-maker.ts';
import { compile, record } from './record.ts';
import { warmUps } from './warm-ups.ts';

const help = `iotedge-code-cache [NAME...]

Keeps the code that V8 makes of the programs beside this one, so that they start faster: iotedge-keys and so on. Each
that has no such code, or code for another version of it or of Node, is compiled or runs until it has replied to a first
call, on a bus that this program plays. Nothing of the machine is used or changed. Run it after an installation of the
programs or of Node; without it they only start slower.
`;

/** Exits with 1 when a cache could not be made, having tried all. */
async function main(args: readonly string[]): Promise<number> {
  if (args.some((name) => !warmUps.has(name))) {
    process.stderr.write(`${help}\n`);
    return 2;
  }
  const maker = new CacheMaker(import.meta.filename);
  const names = args.length > 0 ? args : maker.programs;
  let code = 0;
  // one after the other: a small machine may not have the memory for all
  for (const name of names) {
    try {
      await maker.make(name);
    } catch (error) {
      process.stderr.write(`iotedge-code-cache: ${name}: ${describeError(error)}\n`);
      code = 1;
    }
  }
  return code;
}

const [first, ...rest] = process.argv.slice(2);
if (first === '--record') record(rest);
else if (first === '--compile') compile(rest);
else {
  void main(process.argv.slice(2)).then((code) => {
    process.exitCode = code;
  });
}
