/** What the runtime persists about containers, and how it puts right what others did to them. */
export default [
  {
    breaks: 'a container that could not be recorded is replaced by the next process',
    text: 'if (name !== undefined) await this.#withdraw(name);',
    becomes: '',
    suite: 'component/modules/docker/created-containers-disk',
  },
  {
    breaks: 'a record of containers that could not be written is never written again',
    text: 'await this.#retry(name);',
    becomes: '',
    suite: 'component/modules/docker/created-containers-disk',
  },
  {
    breaks: 'a container that was removed before its start waits for a back-off',
    text: 'before?.ours === true && before.id',
    becomes: 'before?.ours === false && before.id',
    suite: 'unit/modules/supervisor/restart/restarts',
  },
  {
    breaks:
      'a container that always vanishes before its start is created again and again without a delay',
    text: 'if (nowMs - this.#excusedMs < pauseMs) return false;',
    becomes: '',
    suite: 'unit/modules/supervisor/restart/restarts',
  },
  {
    breaks: 'a module whose name is free again waits for its back-off',
    text: 'if (before?.ours === false && before.id !== instance?.id) backoff.reset();',
    becomes: '',
    suite: 'unit/modules/supervisor/restart/restarts',
  },
  {
    breaks: 'a module that another client stops waits longer and longer',
    text: 'if (this.#isKilled) this',
    becomes: 'if (false) this',
    suite: 'unit/modules/supervisor/restart/restart-backoff',
  },
  {
    breaks: 'a signal that another client sends to a container is not noticed',
    text: "if (request === 'end') this",
    becomes: 'if (false) this',
    suite: 'integration/modules/engine/foreign-changes',
  },
  {
    breaks: 'a container that is changed for the second time waits',
    text: 'const most = 20;',
    becomes: 'const most = 1;',
    suite: 'component/modules/docker/created-containers',
  },
  {
    breaks: 'the removal of a container of others with the name of a module is not noticed',
    text: 'if (!isOurs) return isRemoval || names.length > 1 ? names : [];',
    becomes: 'if (!isOurs) return [];',
    suite: 'integration/modules/engine/events',
  },
  {
    breaks: 'a module waits for years for others when the clock is set back',
    text: 'const since = known < now() ? known : now();',
    becomes: 'const since = known;',
    suite: 'unit/modules/supervisor/order/start-order',
  },
  {
    breaks: 'a changed container stays as it is for years when the clock is set back',
    text: 'this.#dueMs = Math.min(this.#dueMs, nowMs + pauseMs);',
    becomes: '',
    suite: 'component/modules/docker/created-containers',
  },
  {
    breaks: 'an update is proved by time in which this process did not see it run',
    text: 'this.#seen = { run, sinceMs: monotonicMs };',
    becomes: 'this.#seen = { run, sinceMs: startedAt.getTime() };',
    suite: 'unit/modules/supervisor/update/trial',
  },
  {
    breaks: 'a service that is restarted daily never cleans up images',
    text: 'at = await readStateJson(path, parseTime);',
    becomes: '',
    suite: 'component/modules/docker/last-cleanup',
  },
  {
    breaks: 'images are not cleaned up for years after the clock was set back',
    text: 'if (this.#at > now) this.#at = now;',
    becomes: '',
    suite: 'component/modules/docker/last-cleanup',
  },
  {
    breaks: 'all unneeded images are old when the clock is set forward',
    text: 'return new Date(this.#seen.time.getTime() + elapsedMs);',
    becomes: 'return this.#options.now();',
    suite: 'component/modules/docker/age-clock',
  },
  {
    breaks:
      'all unneeded images are old when the clock is set forward while the service is stopped',
    text: "return boot.id !== '' && boot.id === bootId && elapsedMs <= boot.elapsedMs();",
    becomes: 'return false;',
    suite: 'component/modules/docker/age-clock',
  },
  {
    breaks: 'all unneeded images are old when the device boots with a clock that is years ahead',
    text: 'offMs >= 0 && offMs <= longestOffMs',
    becomes: 'offMs >= 0',
    suite: 'component/modules/docker/pulled-images',
  },
  {
    breaks: 'images become younger when the device boots with a clock that was never set',
    text: 'offMs >= 0 && offMs <= longestOffMs',
    becomes: 'offMs <= longestOffMs',
    suite: 'component/modules/docker/age-clock',
  },
  {
    breaks: 'images are as old as the clock says when the clock of ages is lost',
    text: 'usedMs.length > 0 ? new Date(Math.max(...usedMs)) : undefined',
    becomes: 'undefined',
    suite: 'component/modules/docker/pulled-images',
  },
  {
    breaks: 'a module that restarts in a loop is written each time',
    text: 'entry.writtenMs + this.#intervalMs - performance.now()',
    becomes: '0',
    suite: 'component/modules/registry/module-histories',
  },
  {
    breaks: 'what a module did within the last minute is lost at a stop',
    text: 'await Promise.all([...this.#entries].map(([name, entry]) => this.#write(name, entry)));',
    becomes: '',
    suite: 'component/modules/registry/module-histories',
  },
  {
    breaks: 'the history of a deleted module is written again',
    text: 'if (this.#entries.get(name) !== entry) entry.isSaved = true;',
    becomes: '',
    suite: 'component/modules/registry/module-histories',
  },
  {
    breaks: 'a restart of the service forgets the restarts of modules',
    text: '      status.note({ pullWarning, restartCount, restartReason });',
    becomes: '',
    suite: 'integration/modules/service-life',
  },
  {
    breaks: 'a restart of the service forgets the last exit of a module',
    text: 'this.#ended = history?.ended;',
    becomes: '',
    suite: 'integration/modules/service-life',
  },
  {
    breaks: 'a management API whose socket could not be bound is never served',
    text: 'this.#isWithheld = true; // or the next attempt would count as one that succeeded',
    becomes: '',
    suite: 'component/modules/api/sockets/module-socket',
  },
  {
    breaks: 'a module keeps the failure of an operation that an engine without response has caused',
    text: 'isUndone && !isOver',
    becomes: 'isUndone',
    suite: 'unit/modules/supervisor/hung-engine',
  },
  {
    breaks:
      'a module does not report why its update failed when that was an engine without response',
    text: 'error instanceof EngineUnreachable && !isUpdate(operation)',
    becomes: 'error instanceof EngineUnreachable',
    suite: 'unit/modules/supervisor/hung-engine',
  },
  {
    breaks: 'each event of a module leaves a timer',
    text: "    signal.removeEventListener('abort', stop);\n    clearTimeout(timer);\n",
    becomes: "    signal.removeEventListener('abort', stop);\n",
    suite: 'unit/modules/timers',
  },
  {
    breaks: 'a deletion of an identity that failed is not repeated: the identity stays at the hub',
    text: '    await this.#options.eraseIdentity(operation.via(signal));\n    this.#isErased = true;\n',
    becomes:
      '    this.#isErased = true;\n    await this.#options.eraseIdentity(operation.via(signal));\n',
    suite: 'unit/modules/supervisor/supervisor-goals',
  },
  {
    breaks: 'a deletion ends before the record of the module is gone',
    text: '    await this.#options.remove();\n    if (!isReleased)',
    becomes: '    operation.reach();\n    await this.#options.remove();\n    if (!isReleased)',
    suite: 'unit/modules/supervisor/supervisor-goals',
  },
];
