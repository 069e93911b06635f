/** The container engine: its events, its images and its containers. */
export default [
  {
    breaks: 'the end of a stream of events is an outage',
    text: 'if (signal.aborted || !isConnectionLoss(error)) {',
    becomes: 'if (true) {',
    suite: 'integration/modules/engine/events',
  },
  {
    breaks: 'what changes between two streams of events is lost',
    text: 'return changedNames(before, this.#known);',
    becomes: 'return changedNames(before, before);',
    suite: 'integration/modules/engine/events',
  },
  {
    breaks: 'a limit that another client changed is not noticed',
    text: 'before.resources[limit] !== after.resources[limit]',
    becomes: 'before.resources[limit] === undefined',
    suite: 'unit/modules/docker/drift/traits',
  },
  {
    breaks: 'the values for no limit of another version of the engine count as a change',
    text: "return !isUnlimited && value !== undefined && value !== null && value !== 0 && value !== '';",
    becomes: 'return true;',
    suite: 'unit/modules/docker/drift/traits',
  },
  {
    breaks: 'the alias that the engine adds counts as a change',
    text: "typeof alias === 'string' && !id.startsWith(alias);",
    becomes: "typeof alias === 'string';",
    suite: 'unit/modules/docker/drift/traits',
  },
  {
    breaks: 'a container that another client created in its place is not noticed',
    text: "created === undefined ? ['Id']",
    becomes: 'created === undefined ? []',
    suite: 'component/modules/docker/created-containers',
  },
  {
    breaks: 'a container that changes again and again is made again without a pause',
    text: 'this.#due = this.#backoff.retryAt(now) ?? now;',
    becomes: 'this.#due = now;',
    suite: 'component/modules/docker/created-containers',
  },
  {
    breaks: 'a container counts as changed while it is created',
    text: 'if (name === undefined || this.#creating.has(module)) return undefined;',
    becomes: 'if (name === undefined) return undefined;',
    suite: 'component/modules/docker/created-containers',
  },
  {
    breaks: 'an image that a stopped container of others uses is removed',
    text: 'if (used.has(id) || names.some(',
    becomes: 'if (names.some(',
    suite: 'unit/modules/docker/images/removable',
  },
  {
    breaks: 'an image that a module demands is removed',
    text: 'if (used.has(id) || names.some((name) => wantedNames.has(name))) {',
    becomes: 'if (used.has(id)) {',
    suite: 'unit/modules/docker/images/removable',
  },
  {
    breaks: 'an image that another client has tagged is removed',
    text: 'isOursAlone && isOld',
    becomes: 'isOld',
    suite: 'unit/modules/docker/images/removable',
  },
  {
    breaks: 'an image is removed before its time',
    text: 'unusedMs(record) >= thresholdMs',
    becomes: 'true',
    suite: 'unit/modules/docker/images/removable',
  },
  {
    breaks: 'an image that another client pulled is removed',
    text: '(known === undefined && !isNew)',
    becomes: 'false',
    suite: 'integration/modules/engine/image-cleanup',
  },
  {
    breaks: 'all images go when space is short',
    text: 'if (!(await goesOn())) return;',
    becomes: '',
    suite: 'integration/modules/engine/image-cleanup',
  },
  {
    breaks: 'the log of a driver that refuses limits gets them',
    text: '|| !fileDrivers.has(Type)',
    becomes: '',
    suite: 'unit/modules/docker/engine/log-rotation',
  },
  {
    breaks: 'limits of a log that a module has are replaced',
    text: 'isAmbiguous || hasLimits ||',
    becomes: 'isAmbiguous ||',
    suite: 'unit/modules/docker/engine/log-rotation',
  },
];
