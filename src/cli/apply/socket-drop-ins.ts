/** Socket units that listen where modules.yaml says: facts in, files out. */

/** The socket unit of an API and what systemd knows of it. */
export interface SocketFacts {
  readonly unit: string;
  /** The setting that says where it listens. */
  readonly setting: string;
  /** Where modules.yaml says that it listens. */
  readonly wanted: string;
  /** The file of the unit; `` when it is not installed. */
  readonly unitFile: string;
  /** The drop-in that this command writes; undefined when there is none. */
  readonly dropIn: string | undefined;
}

/** What happens to the drop-in of a unit: it is written, or removed. */
export interface SocketChange {
  readonly unit: string;
  readonly wanted: string;
  readonly path: string;
  /** Undefined: the unit listens there without a drop-in. */
  readonly text: string | undefined;
}

/** The longest path of a socket, as the kernel limits it. */
const maxBytes = 107;
const header = "# Written by 'iotedgectl config apply'";

/** The drop-in of a socket unit. */
export function dropInPath(unit: string): string {
  return `/etc/systemd/system/${unit}.d/listen.conf`;
}

/** The change that makes a unit listen where it shall; undefined for none, and for a drop-in that has another author. */
export function socketChange({
  unit,
  setting,
  wanted,
  unitFile,
  dropIn,
}: SocketFacts): SocketChange | undefined {
  if (dropIn?.startsWith(header) === false) return undefined;
  const isDefault = listensIn(unitFile).join('\n') === wanted;
  const text = isDefault ? undefined : dropInText(setting, wanted);
  if (text === dropIn) return undefined;
  return { unit, wanted, path: dropInPath(unit), text };
}

/** Why a path cannot be that of a socket unit; undefined when it can. */
export function unusable(path: string): string | undefined {
  if (Buffer.byteLength(path) > maxBytes) return `it is longer than ${maxBytes} bytes`;
  // a unit file ends a setting there, and cuts white space from its ends
  if (/[\p{Cc}]|\\$|\s$/u.test(path)) return 'systemd cannot read such a path from a unit';
  return undefined;
}

function dropInText(setting: string, path: string): string {
  return `${header} from ${setting} of modules.yaml: change it there.
[Socket]
# without the empty one it would listen at the path of the unit, too
ListenStream=
ListenStream=${path.replaceAll('%', '%%')}
`;
}

/** Where a unit file says that the unit listens. */
function listensIn(unitFile: string): readonly string[] {
  const found: string[] = [];
  for (const [, value = ''] of unitFile.matchAll(/^\s*ListenStream\s*=[ \t]*(.*?)[ \t]*$/gm)) {
    if (value === '') found.length = 0;
    else found.push(value.replaceAll('%%', '%'));
  }
  return found;
}
