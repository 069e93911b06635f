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
    text: 'if (instance?.killed === true) this',
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
];
