/**
 * Failures of an inspection or a start after which no later one can succeed: a power cut lost a part of the container, or
 * interrupted its removal, or its network is gone. Engines report them with status 409 or 500 like transient ones; only the text distinguishes them.
 */
const damages: readonly RegExp[] = [
  /is marked for removal/,
  /RWLayer of container \S+ is unexpectedly nil/,
  // the directory of its layer, or that of its configuration
  /\/[0-9a-f]{64}(\/\S*)?: no such file or directory/,
  /error creating overlay mount to .*: no such file or directory/,
  // engines that keep images in containerd
  /snapshot [0-9a-f]{64}\S* does not exist/,
  // it keeps the id of a network that was removed: another one of the same name does not help
  /\bnetwork \S+ not found/,
];

/**
 * Failures of a start because containerd has a part of the container, which an engine that was killed during an earlier
 * start left there and knows nothing of since: Docker 20.10 with live-restore, and moby#39630, moby#50040.
 */
const leftovers: readonly RegExp[] = [
  /\btask [0-9a-f]{64}: already exists/,
  /\bid already in use/,
  /\bcontainer with id exists/,
  /\/[0-9a-f]{64}: file exists/,
];

/** Whether the engine's message about a failed start means that containerd has a part of the container. */
export function isLeftover(message: string): boolean {
  return leftovers.some((leftover) => leftover.test(message));
}

/** Whether the engine's message about a failure means that the container is damaged. */
export function isDamage(message: string): boolean {
  return damages.some((damage) => damage.test(message));
}

/**
 * Whether the engine's message about a failed removal means that another client removes the container at present. The
 * status of these is that of containers that cannot be removed, such as one whose process survives SIGKILL.
 */
export function isRemovalInProgress(message: string): boolean {
  return /removal of container \S+ is already in progress/i.test(message);
}
