/** How many timers of this process are pending; those that keep no process alive are not counted. */
export function pendingTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}
