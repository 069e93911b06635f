import { reservedPrefix } from './ids.ts';

/** Whether a glob matches a text: `*` stands for any characters, including `/`, and `?` for one. */
export function globMatches(glob: string, text: string): boolean {
  if (glob === text) return true; // most globs of rules have no star
  let at = 0;
  let from = 0;
  let star = -1;
  let mark = 0;
  while (at < text.length) {
    if (glob[from] === '*') {
      star = from++;
      mark = at;
    } else if (from < glob.length && (glob[from] === '?' || glob[from] === text[at])) {
      from++;
      at++;
    } else if (star >= 0) {
      from = star + 1;
      at = ++mark;
    } else return false;
  }
  while (glob[from] === '*') from++;
  return from === glob.length;
}

/** As `globMatches`, for ids: those with the prefix `iotedge/` match only globs with the same prefix. */
export function idGlobMatches(glob: string, id: string): boolean {
  if (id.startsWith(reservedPrefix) && !glob.startsWith(reservedPrefix)) return false;
  return globMatches(glob, id);
}

/** The id without the `@<n>` that a rotation appends: grants and globs for an id include its rotations. */
export function unrotated(id: string): string {
  return id.replace(/@[0-9]+$/, '');
}
