import type { BootedSystem } from '../boot/booted-system.ts';
import { type Step, showsOutput } from './shell-document.ts';

const stepMs = 180_000;

/** Each step is a process of its own: variables, functions and the directory go on to the next, as in the shell of a reader. */
const script = `
set -a
state=/run/shell-of-$1
cd /root
[ ! -e "$state" ] || . "$state"
trap '{ export -p; declare -f; echo "cd $PWD"; } >"$state"' EXIT
eval "$2"
`;

/** The shells of somebody who copies the steps of documents, as root: one for each document. */
export class DocumentShell {
  readonly #system: BootedSystem;

  constructor(system: BootedSystem) {
    this.#system = system;
  }

  /** Runs a step; throws when a command fails, or when it does not print what the document shows: then that decides. */
  async run({ document, section, line, commands, output }: Step): Promise<void> {
    const command = [
      'env',
      'HOME=/root',
      'bash',
      '-euo',
      'pipefail',
      '-c',
      script,
      'sh',
      document,
      commands,
    ];
    const { code, stdout, stderr } = await this.#system.run(command, { timeoutMs: stepMs });
    const printed = `${document}, line ${line}, ${section}:\n${commands}\nended with ${code}:\n${stdout}${stderr}`;
    if (output === undefined && code !== 0) throw new Error(printed);
    if (output !== undefined && !showsOutput(stdout, output))
      throw new Error(`${printed}\nand not with\n${output}`);
  }
}
