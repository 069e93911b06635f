/** The ids with which the kernel identifies a process. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly groups?: readonly number[];
}

/** The command line prefix that runs a program with other ids; no account file is read for it. */
export function setpriv({ uid, gid, groups = [] }: Identity): readonly string[] {
  const others = groups.length === 0 ? '--clear-groups' : `--groups=${groups.join(',')}`;
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, others];
}
