import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BootedSystem } from '../boot/booted-system.ts';
import { unitsFolder } from './unit-file.ts';

/** A program in Perl to run in the sandbox of a unit, with lines of a drop-in. */
export interface Probe {
  readonly unit: string;
  readonly dropIn: readonly string[];
  readonly perl: string;
}

const directory = '/run/probes';

/** The result is the name of the error, or `done`. */
const program = (expression: string) => `use strict;
use warnings;
no warnings 'exec';
use Errno;
use Fcntl;
use POSIX ();
use Socket;
my $succeeded = ${expression};
my ($error) = sort grep { $!{$_} } keys %!;
print $succeeded ? 'done' : $error // 'unknown';
`;

/**
 * Only what runs is replaced: no start is retried, no bus name is waited for. Copies of a unit run at the same time, and
 * the first to end would remove the directory that the others mount.
 */
const dropInOf = (name: string, lines: readonly string[]) => `[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
BusName=org.example.${name}
Restart=no
ExecStart=
ExecStart=/usr/bin/perl ${directory}/${name}.pl
StandardOutput=truncate:${directory}/${name}
StandardError=truncate:${directory}/${name}.err
RuntimeDirectoryPreserve=yes
${lines.join('\n')}
`;

/** Writes a file with the shell, from its standard input. */
const writing = (path: string, text: string) =>
  `mkdir -p "${join(path, '..')}"; cat >"${path}" <<'END_OF_FILE'\n${text}\nEND_OF_FILE\n`;

/** Runs each probe by a copy of its unit, and returns their results in order. */
export async function resultsOf(
  system: BootedSystem,
  probes: readonly Probe[],
): Promise<readonly string[]> {
  const names = probes.map((_, index) => `probe${index}`);
  const files = probes.flatMap(({ unit, dropIn, perl }, index) => {
    const name = names[index] ?? '';
    const file = `/run/systemd/system/${name}.service`;
    return [
      writing(file, readFileSync(join(unitsFolder, unit), 'utf8')),
      writing(`${file}.d/probe.conf`, dropInOf(name, dropIn)),
      writing(`${directory}/${name}.pl`, program(perl)),
    ];
  });
  await system.output(['sh', '-eu'], { input: files.join('') });
  const units = names.map((name) => `${name}.service`);
  // a probe that fails has no output, which is seen below
  await system.run(
    ['sh', '-c', 'systemctl daemon-reload; systemctl start "$@"', 'start', ...units],
    {
      timeoutMs: 120_000,
    },
  );
  const show = `cd ${directory}; for name in "$@"; do cat "$name" "$name.err" 2>&1 | tr '\\n' ' '; echo ' end'; done`;
  const output = await system.output(['sh', '-c', show, 'show', ...names]);
  return output.split(' end\n').map((line) => line.replace(/ end$/, '').trim());
}
