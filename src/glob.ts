import { reservedPrefix } from './ids.ts';

/** Whether a glob of the configuration covers a text: `*` is any run of characters, `/` included, `?` is one. */
export function globMatches(glob: string, text: string): boolean {
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

/** As `globMatches`, for ids: those that begin with `iotedge/` are covered only by globs that begin so too. */
export function idGlobMatches(glob: string, id: string): boolean {
  if (id.startsWith(reservedPrefix) && !glob.startsWith(reservedPrefix)) return false;
  return globMatches(glob, id);
}

/** The id without the `@<n>` that a rotation appended: grants and globs on an id cover its rotated names. */
export function unrotated(id: string): string {
  return id.replace(/@[0-9]+$/, '');
}
