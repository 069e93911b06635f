/** Which owner and mode a file shall have: facts in, a change or a refusal out. */

/** A file as it is found. */
export interface FileFacts {
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'other';
  readonly uid: number;
  readonly gid: number;
  /** Permissions only. */
  readonly mode: number;
  /** How many names it has. */
  readonly links: number;
}

/** An owner with its group. */
export interface Owner {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** The owner and the mode that a file gets. */
export interface OwnerChange {
  readonly owner: Owner;
  readonly mode: number;
}

/** Why a file is left as it is. */
export interface Refusal {
  readonly refusal: string;
}

export const root: Owner = { name: 'root:root', uid: 0, gid: 0 };

const writeOfOthers = 0o022;
const readableByAll = 0o004;
const searchableByOthers = 0o011;

/**
 * A configuration file, which is root's: of Keys 0640 for its group, others 0644. A file that not every user could read
 * becomes readable for its service alone.
 */
export function configurationChange(
  facts: FileFacts,
  service: { readonly isKeys: boolean; readonly group: Owner },
): OwnerChange | Refusal | undefined {
  const { kind, uid, gid, mode, links } = facts;
  if (kind === 'other') return undefined;
  if (kind === 'directory') {
    const isFine = uid === 0 && (mode & writeOfOthers) === 0 && (mode & searchableByOthers) !== 0;
    return isFine ? undefined : { owner: root, mode: 0o755 };
  }
  const isOpen = !service.isKeys && (mode & readableByAll) !== 0;
  const owner = isOpen ? root : { ...service.group, uid: 0 };
  const wanted = { owner, mode: isOpen ? 0o644 : 0o640 };
  if (uid === 0 && gid === owner.gid && mode === wanted.mode) return undefined;
  return links > 1 ? { refusal: severalNames(links) } : wanted;
}

/**
 * A file of a service's state, which is the service's alone. Its user can put links to other files there, so a file with
 * several names is refused; where the kernel lets users link foreign files at all, every other owner is.
 */
export function stateChange(
  facts: FileFacts,
  { owner, isTop, protectsLinks }: StateRules,
): OwnerChange | Refusal | undefined {
  const { kind, uid, gid, mode, links } = facts;
  if (kind === 'other') return undefined;
  const least = kind === 'directory' ? 0o700 : 0o600;
  const most = isTop ? 0o700 : 0o755;
  const kept = (mode | least) & (kind === 'directory' ? most : 0o755);
  const isOwn = uid === owner.uid && gid === owner.gid;
  if (isOwn && kept === mode) return undefined;
  if (kind === 'file' && links > 1) return { refusal: severalNames(links) };
  if (kind === 'file' && uid !== owner.uid && !protectsLinks) {
    return {
      refusal: 'users can link foreign files here: set the sysctl fs.protected_hardlinks to 1',
    };
  }
  return { owner, mode: kept };
}

/** What holds for all files of one state directory. */
export interface StateRules {
  readonly owner: Owner;
  /** Whether it is the state directory itself. */
  readonly isTop: boolean;
  /** Whether the kernel lets users link only what is theirs. */
  readonly protectsLinks: boolean;
}

/** The change as text: `owner 0:0 → iotedge-keys, mode 0644 → 0600`. */
export function changeText(facts: FileFacts, { owner, mode }: OwnerChange): string {
  const parts = [
    ...(facts.uid === owner.uid && facts.gid === owner.gid
      ? []
      : [`owner ${facts.uid}:${facts.gid} → ${owner.name}`]),
    ...(facts.mode === mode ? [] : [`mode ${octal(facts.mode)} → ${octal(mode)}`]),
  ];
  return `${facts.path}: ${parts.join(', ')}`;
}

function severalNames(links: number): string {
  return `it has ${links} names, and may be another file's`;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
