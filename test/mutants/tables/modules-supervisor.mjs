export default [
  {
    breaks: 'a module that crashes is started again after 5 s',
    text: 'const firstMs = 10_000;\nconst longestMs = 300_000;',
    becomes: 'const firstMs = 5_000;\nconst longestMs = 300_000;',
    suite: 'unit/modules/backoff',
  },
  {
    breaks: 'the wait of a module grows beyond five minutes',
    text: 'this.#delayMs = Math.min(firstMs * 2 ** Math.min(this.#failures, 10), longestMs);',
    becomes: 'this.#delayMs = firstMs * 2 ** Math.min(this.#failures, 10);',
    suite: 'unit/modules/backoff',
  },
  {
    breaks: 'a module that ran well for long waits as long as before',
    text: 'if (ranMs >= healthyMs) this.#failures = 0;',
    becomes: 'if (ranMs > 2 * healthyMs) this.#failures = 0;',
    suite: 'unit/modules/backoff',
  },
  {
    breaks: 'an operation is accepted before it is persisted',
    text: 'await this.#options.save(state);\n    this.#saved = state;',
    becomes: 'this.#saved = state;\n    await this.#options.save(state);',
    suite: 'unit/modules/desired-state',
  },
  {
    breaks: 'the supervisor overrides an operation that came meanwhile',
    text: 'if (this.goal === from) await this.#set({ ...this.#saved, goal: to });',
    becomes: 'await this.#set({ ...this.#saved, goal: to });',
    suite: 'unit/modules/desired-state',
  },
  {
    breaks: 'a configuration and an environment may be 2 MiB together',
    text: 'if (size <= longestConfigBytes) return;',
    becomes: 'if (size <= 2 * longestConfigBytes) return;',
    suite: 'unit/modules/handlers',
  },
  {
    breaks: 'authorization is told that a creation is harmless which is elevated',
    text: 'return { image: settings.image, elevated: String(elevated) };',
    becomes:
      'return { image: settings.image, elevated: String(elevatedCalls.has(call) !== elevated) };',
    suite: 'unit/modules/handlers',
  },
  {
    breaks: 'an identity that was given up is still used',
    text: 'this.#known.delete(moduleId);',
    becomes: 'this.#known.has(moduleId);',
    suite: 'unit/modules/identities',
  },
  {
    breaks: 'an identity that changed while it was asked for is cached',
    text: 'if (clears === this.#clears) {',
    becomes: 'if (clears <= this.#clears) {',
    suite: 'unit/modules/identities',
  },
  {
    breaks: 'a device that is not provisioned is not provisioned for its modules',
    text: 'await this.#provision(via);\n    return this.#register(moduleId, via);',
    becomes: 'return this.#register(moduleId, via);',
    suite: 'unit/modules/identities',
  },
  {
    breaks: 'directories of modules are removed whose records cannot be read',
    text: 'else if (isComplete) await removeOrphans(socketsPath, new Set([...names, agent?.name]));',
    becomes:
      'else if (isComplete) await removeOrphans(socketsPath, new Set([...found.map(({ name }) => name), agent?.name]));',
    suite: 'unit/modules/records',
  },
  {
    breaks: 'a module has an end and an exit code while it runs',
    text: "const ended = state?.kind === 'exited' || state?.kind === 'restarting' ? state : undefined;\n  const startedAt",
    becomes:
      "const ended = state !== undefined && 'exitCode' in state && state.kind !== 'restarting' ? state : undefined;\n  const startedAt",
    suite: 'unit/modules/module-state',
  },
  {
    breaks: 'a module that ended well is shown as failed',
    text: "return goal === 'ended' && state.exitCode !== 0 ? 'failed' : 'stopped';",
    becomes: "return goal === 'ended' ? 'failed' : 'stopped';",
    suite: 'unit/modules/module-state',
  },
  {
    breaks: "another's container is removed",
    text: "if (desired.kind === 'absent') return container?.ours === true ? discard(container) : [];",
    becomes: "if (desired.kind === 'absent') return container ? discard(container) : [];",
    suite: 'unit/modules/plan',
  },
  {
    breaks: 'a container is removed before the image of the next one is there',
    text: 'return [...pull, ...discard(container), ...make(desired)];',
    becomes: 'return [...discard(container), ...pull, ...make(desired)];',
    suite: 'unit/modules/plan',
  },
  {
    breaks: 'an engine that comes and goes is taken for a steady one',
    text: 'if (heldMs !== undefined) this.#isSteady = heldMs >= steadyMs;',
    becomes: 'if (heldMs !== undefined) this.#isSteady = true;',
    suite: 'unit/modules/reach',
  },
  {
    breaks: 'the record of another module is taken for that of this one',
    text: 'if (version !== 1 || name !== fileName || goal === undefined) {',
    becomes: 'if (version !== 1 || goal === undefined) {',
    suite: 'unit/modules/records',
  },
  {
    breaks: 'a module whose record does not say so is elevated',
    text: "elevated: record['elevated'] === true,",
    becomes: "elevated: record['elevated'] !== false,",
    suite: 'unit/modules/records',
  },
  {
    breaks: 'a module is made over a record that could not be read',
    text: "throw new ServiceError('Unavailable', damage.message, { cause: damage });",
    becomes: 'this.#damaged.delete(name);',
    suite: 'unit/modules/records',
  },
  {
    breaks: 'what ended with the container engine counts as a failure of the module',
    text: 'if (isFirst && reachedMs !== undefined && end <= reachedMs) {',
    becomes: 'if (isFirst && reachedMs !== undefined && end < 0) {',
    suite: 'unit/modules/recovery',
  },
  {
    breaks: 'a module is started again that is never to be',
    text: "return policy === 'always' || (policy !== 'never' && exitCode !== 0);",
    becomes: "return policy === 'always' || exitCode !== 0;",
    suite: 'unit/modules/restart-policy',
  },
  {
    breaks: 'the engine is given a restart policy of its own',
    text: 'const kept = Object.entries(hostConfig).filter((member) => !isPolicy(member));',
    becomes: "const kept = Object.entries(hostConfig).filter(([key]) => key !== 'restartPolicy');",
    suite: 'unit/modules/restart-policy',
  },
  {
    breaks: 'the restart policy of every container with our label is taken away, kept ones too',
    text: 'if (!isKept(name)) await disarmStray(name, parts, signal);',
    becomes: 'await disarmStray(name, parts, signal);',
    suite: 'unit/modules/supervisor',
  },
  {
    breaks: "another's container is changed",
    text: 'if (container?.ours !== true || !container.engineRestarts) return;',
    becomes: 'if (!container?.engineRestarts) return;',
    suite: 'unit/modules/supervisor',
  },
];
