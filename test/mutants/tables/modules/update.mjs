const unavailable = 'unit/modules/supervisor/update/unavailable';
const cleanUp = 'unit/modules/supervisor/update/clean-up';
const model = 'unit/modules/supervisor/update/plan-model';

export default [
  {
    breaks: 'a parked instance that another client started runs beside the new one',
    text: 'if (parked !== undefined && isLive(parked)) return discard(parked).slice(0, 1);',
    becomes: '',
    suite: model,
  },
  {
    breaks: 'the old instance is removed and not parked',
    text: 'if (own === undefined || own.id !== oldId || isBroken(own)) return present(own, desired);',
    becomes:
      'if (own === undefined || own.id !== undefined || isBroken(own)) return present(own, desired);',
    suite: model,
  },
  {
    breaks: 'the new instance is not removed before the old one has its name again',
    text: 'const steps = own?.id === oldId ? [] : discard(own);',
    becomes: 'const steps = [];',
    suite: model,
  },
  {
    breaks: 'the old instance stays parked after an update',
    text: "return [...discard(parked), { kind: 'end' }];",
    becomes: "return [{ kind: 'end' }];",
    suite: model,
  },
  {
    breaks: 'the old instance is removed before the new one has proved good',
    text: 'return tried(own, desired);\n',
    becomes: 'return [...discard(parked), ...tried(own, desired)];\n',
    suite: model,
  },
  {
    breaks: 'the record of an update stays when it has ended',
    text: 'return { source, state: { ...state, update: undefined } };',
    becomes: 'return { source, state };',
    suite: model,
  },
  {
    breaks: 'the next configuration is in force after a roll-back',
    text: 'return { source: other, state: { ...state, goal, update: rollback, rejected } };',
    becomes: 'return { source, state: { ...state, goal, update: rollback, rejected } };',
    suite: model,
  },
  {
    breaks: 'an unproven instance is returned to',
    text: 'proven === undefined ? { other: source, oldId } : { other: proven };',
    becomes: '{ other: source, oldId };',
    suite: model,
  },
  {
    breaks: 'an update of an unproven module ends with a failed fetch',
    text: "proven === undefined\n        ? { ...rest, phase: 'abandon' }",
    becomes: "proven !== other\n        ? { ...rest, phase: 'abandon' }",
    suite: model,
  },
  {
    breaks: 'the old instance does not run again after a roll-back',
    text: "const goal = isToRun(previous) ? 'start' : previous;",
    becomes: "const goal = 'stopped';",
    suite: 'unit/modules/supervisor/desired-state',
  },
  {
    breaks: 'a new container without a health check is good at once',
    text: "const limitMs = health === 'starting' ? healthMs : runMs;",
    becomes: "const limitMs = health === 'starting' ? healthMs : 0;",
    suite: 'unit/modules/supervisor/update/trial',
  },
  {
    breaks: 'a new container that ended with exit code 0 is started again',
    text: 'if (endedItself) return bad(',
    becomes: 'if (endedItself && false) return bad(',
    suite: 'unit/modules/supervisor/update/trial',
  },
  {
    breaks: 'a health check that never succeeds is waited for without an end',
    text: "if (health === undefined) return { kind: 'good' };",
    becomes: "return { kind: 'good' };",
    suite: 'unit/modules/supervisor/update/trial',
  },
  {
    breaks: 'a configuration that was rolled back is tried again at once',
    text: 'if (elapsedMs < 0 || elapsedMs >= refusedMs) return;',
    becomes: 'return;',
    suite: 'unit/modules/supervisor/update/trial',
  },
  {
    breaks: 'a parked container gets its name back as one that was renamed',
    text: 'if (Id === parkedId) return false;',
    becomes: '',
    suite: 'integration/modules/module-type/docker',
  },
  {
    breaks: 'changes of a parked container are reported for no module',
    text: 'yield parkedPattern.exec(name)?.[1] ?? name;',
    becomes: 'yield name;',
    suite: 'integration/modules/module-type/docker',
  },
  {
    breaks: 'the next process does not know of an update',
    text: "...updateOf(record['update'], name),",
    becomes: '',
    suite: 'integration/modules/update/killed',
  },
  {
    breaks: 'a module that an agent stopped for an update stays stopped when the update is refused',
    text: "return { source, state: resumes === true ? { ...rest, goal: 'start' } : state };",
    becomes: 'return { source, state };',
    suite: 'unit/modules/supervisor/desired-state',
  },
  {
    breaks:
      'a module that an agent stopped for an update stays stopped when the update is rolled back',
    text: "const previous = resumes === true ? 'start' : goal;",
    becomes: 'const previous = goal;',
    suite: 'unit/modules/supervisor/desired-state',
  },
  {
    breaks: 'a module that did not run is started by a failed update',
    text: '...(resumes && (isToRun(this.goal) || this.resumes) && { resumes }),',
    becomes: '...(resumes && { resumes }),',
    suite: 'unit/modules/supervisor/desired-state',
  },
  {
    breaks: 'an agent that updates a module in the original order leaves it stopped',
    text: "const args = action === 'stop' ? { resumes: true } : {};",
    becomes: 'const args = {};',
    suite: 'integration/modules/agent/deployment',
  },
  {
    breaks: 'the unproven container of the update before is taken for the new one',
    text: "if (kind === 'try') this.#newId = undefined;",
    becomes: '',
    suite: 'integration/modules/update/update',
  },
  {
    breaks: 'any container of the module is taken for the new one of an update',
    text: 'return id !== update.oldId && digest === spec.digest;',
    becomes: 'return id !== update.oldId;',
    suite: 'unit/modules/supervisor/update/plan-model',
  },
  {
    breaks: 'an update is rolled back when another service or the engine is away for a time',
    text: 'return error instanceof NotPrepared || error instanceof EngineUnreachable;',
    becomes: 'return false;',
    suite: unavailable,
  },
  {
    breaks: 'an update is refused after the engine was lost in it',
    text: 'return error instanceof NotPrepared || error instanceof EngineUnreachable;',
    becomes: 'return error instanceof NotPrepared;',
    suite: unavailable,
  },
  {
    breaks: 'an update that no caller waits for is given up while Identity is away',
    text: 'if (current === undefined || (!isVerdict && isUpdate(current))) return next.at;',
    becomes: 'if (current === undefined) return next.at;',
    suite: unavailable,
  },
  {
    breaks: 'a new container that ended while it was not recognized gets another chance',
    text: "if (verdict !== undefined && newId !== undefined && newId !== judgedId) return 'again';",
    becomes: '',
    suite: unavailable,
  },
  {
    breaks: 'the time while a new container is paused counts as observed',
    text: "if (state.kind === 'paused') this.#seen = undefined;",
    becomes: '',
    suite: 'unit/modules/supervisor/update/trial',
  },
  {
    breaks: 'a module is not supervised while the clean-up of its update fails',
    text: 'if (atOnce !== undefined && !isDelayed) return step;',
    becomes: 'if (atOnce !== undefined) return step;',
    suite: cleanUp,
  },
  {
    breaks: 'a clean-up that failed is tried at every event',
    text: 'this.#cleanUp.failed();',
    becomes: '',
    suite: cleanUp,
  },
  {
    breaks: 'a module whose parked container cannot be removed is deleted',
    text: "if (step === undefined || step.kind === 'stop' || !needsInstance(goal)) return false;",
    becomes: "if (step === undefined || step.kind === 'stop') return false;",
    suite: cleanUp,
  },
  {
    breaks: 'the note about a clean-up stays when it has ended',
    text: "if (step.kind === 'end' && this.#isLeft) status.note({ note: '' });",
    becomes: '',
    suite: cleanUp,
  },
  {
    breaks: 'an operation that began in a round is reached by it',
    text: '    signal.throwIfAborted();\n    const { newId } = this.#planner;',
    becomes: '    const { newId } = this.#planner;',
    suite: cleanUp,
  },
  {
    breaks:
      'an update that fails after modules.yaml has changed returns to the configuration before',
    text: "const { proven: _proven, triedDigest: _triedDigest, ...rest } = update;\n  return { source: read, state: { ...state, update: { ...rest, phase: 'done' } } };",
    becomes: 'return { source: read, state };',
    suite: 'unit/modules/registry/reconfigured',
  },
  {
    breaks: 'a reload that read the agent before its update ends that update',
    text: 'return source.base ?? sourceDigest(source);',
    becomes: 'return sourceDigest(source);',
    suite: 'unit/modules/registry/reconfigured',
  },
  {
    breaks: 'the tag of a parked container stays when it is the only one of its image',
    text: 'if (statusOf(error) !== 409) throw error;\n        // it is the only tag',
    becomes: 'if (statusOf(error) === 409) return;\n        // it is the only tag',
    suite: 'integration/modules/engine/docker-engine',
  },
];
