/** Who a process is for the kernel. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly groups?: readonly number[];
}

/** The words that make a program run as somebody else, by numbers: no account file is read for it. */
export function setpriv({ uid, gid, groups = [] }: Identity): readonly string[] {
  const others = groups.length === 0 ? '--clear-groups' : `--groups=${groups.join(',')}`;
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, others];
}
