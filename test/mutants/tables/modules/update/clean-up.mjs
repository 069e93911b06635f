const cleanUp = 'unit/modules/supervisor/update/clean-up';
const removals = 'unit/modules/supervisor/update/removals';

export default [
  {
    breaks: 'a module is not supervised while the clean-up of its update fails',
    text: 'const isDelayed = this.#cleanUpStep !== undefined && leftovers.isDelayed(this.#cleanUpStep);',
    becomes: 'const isDelayed = false;',
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
    text: "if (step.kind === 'end') this.#leftovers.removed();",
    becomes: '',
    suite: cleanUp,
  },
  {
    breaks: 'an update is refused while the one before cannot be cleaned up',
    text: "if (update?.phase === 'fetch' || update?.phase === 'rollback') {",
    becomes: "if (update !== undefined && update.phase !== 'trial') {",
    suite: cleanUp,
  },
  {
    breaks: 'what an update has left is forgotten by the next one',
    text: 'return [...former, ...ids.flatMap((id) => id ?? [])];',
    becomes: 'return former;',
    suite: cleanUp,
  },
  {
    breaks: 'what an update has left gets the name of the module',
    text: 'parkedIds.push(...former.presentIds);',
    becomes: '',
    suite: cleanUp,
  },
  {
    breaks: 'what an update has left runs beside the module',
    text: 'return [parked, bad, ...former.found].find((one) => one !== undefined && isLive(one));',
    becomes: 'return undefined;',
    suite: cleanUp,
  },
  {
    breaks: 'a container that cannot be removed keeps those that can',
    text: 'return presentIds[this.#attempts % presentIds.length];',
    becomes: 'return presentIds.at(-1);',
    suite: cleanUp,
  },
  {
    breaks:
      'a container that is gone, or has the name of the module again, counts as left for ever',
    text: 'if (instance === undefined) goneIds.push(id);',
    becomes: 'if (instance === undefined && false) goneIds.push(id);',
    suite: cleanUp,
  },
  {
    breaks: 'containers that cannot be removed become more and more',
    text: 'if (former.length > mostFormer) {',
    becomes: 'if (former.length < 0) {',
    suite: cleanUp,
  },
  {
    breaks: 'a module is deleted without what its updates have left',
    text: "return isLeft ? 'again' : this.#vanish(goal, signal);",
    becomes: 'return this.#vanish(goal, signal);',
    suite: cleanUp,
  },
  {
    breaks: 'an operation on a module forgets what its updates have left',
    text: '...(former !== undefined && { former }),\n        rejected,',
    becomes: 'rejected,',
    suite: cleanUp,
  },
  {
    breaks: 'a tag that cannot be removed stops the supervision of an updated module',
    text: 'if (this.#planner.isCleanUp(step)) return this.#leftovers.leave(error);',
    becomes: '',
    suite: cleanUp,
  },
  {
    breaks: 'a removal that fails is requested again at once',
    text: '      this.leave(error);',
    becomes: '',
    suite: cleanUp,
  },
  {
    breaks:
      'the removal of what an earlier update has left is requested again at once when it fails',
    text: '      this.#former.failed();\n      this.#noteLeft(error);',
    becomes: '',
    suite: cleanUp,
  },
  {
    breaks: 'the removal of an old container delays the supervision of its module',
    text: 'if (isBeside) this.#leftovers.begin(step.id);\n      else await this.#do(step, signal);',
    becomes: 'await this.#do(step, signal);',
    suite: removals,
  },
  {
    breaks: 'the removal of what an earlier update has left delays the supervision of its module',
    text: 'const id = this.#former.nextOf(former);\n    // one',
    becomes:
      'await this.#former.removeNext(former, signal);\n    const id = this.#former.nextOf(former);\n    // one',
    suite: removals,
  },
  {
    breaks: 'a round follows the other without end while a removal is pending',
    text: "return step.kind === 'remove' && (removals.has(step.id) || removals.isFull);",
    becomes: "return step.kind === 'remove' && removals.isFull;",
    suite: removals,
  },
  {
    breaks: 'removals that an engine does not respond to become more and more',
    text: 'return this.#pending.size >= most;',
    becomes: 'return false;',
    suite: removals,
  },
  {
    breaks: 'an update ends before its old container is removed',
    text: 'if (!this.#leftovers.isAwaited) operation.reach();',
    becomes: 'operation.reach();',
    suite: removals,
  },
  {
    breaks:
      'an update does not end while an engine does not respond to the removal of its old container',
    text: 'return this.#awaitedUntil !== undefined && this.#options.now() < this.#awaitedUntil;',
    becomes: 'return true;',
    suite: removals,
  },
  {
    breaks: 'nothing ends the wait of an update for its clean-up',
    text: 'this.isPending ? this.#awaitedUntil : undefined',
    becomes: 'undefined',
    suite: removals,
  },
  {
    breaks: 'the restart policy waits for the clean-up of an update',
    text: 'if (this.#leftovers.isAwaited && (!isLive(instance) || unhealthy)) operation.reach();',
    becomes: '',
    suite: removals,
  },
  {
    breaks: 'a removal that has ended is not noticed before another event',
    text: 'this.#ended.push({ id, error });\n    this.#options.onEnd();',
    becomes: 'this.#ended.push({ id, error });',
    suite: removals,
  },
  {
    breaks: 'a container with the name of the module is removed as one that was left',
    text: 'if ((await type.findParked({ id, name }, signal)) !== undefined) await type.remove(id, signal);',
    becomes: 'await type.remove(id, signal);',
    suite: removals,
  },
  {
    breaks: 'a removal outlives the supervision of its module',
    text: 'await this.#removals.stop();',
    becomes: '',
    suite: removals,
  },
  {
    breaks: 'a module is not supervised while what an update has left cannot be described',
    text: 'if (isLeft) return findLeftover',
    becomes: 'if (isLeft && name === undefined) return findLeftover',
    suite: 'unit/modules/supervisor/update/removals',
  },
  {
    breaks: 'a module waits a minute for the description of what an update has left',
    text: 'JoinedSignal.within(limitMs, signal);\n  try {\n    return await type.findParked',
    becomes: 'JoinedSignal.within(60_000, signal);\n  try {\n    return await type.findParked',
    suite: 'unit/modules/supervisor/update/removals',
  },
  {
    breaks: 'a module waits a minute for the release of what was kept for an update',
    text: 'JoinedSignal.within(releaseMs, signal)',
    becomes: 'JoinedSignal.within(60_000, signal)',
    suite: 'unit/modules/supervisor/update/removals',
  },
  {
    breaks: 'a deletion waits for the engine to release what was kept for an update',
    text: 'using limited = JoinedSignal.within(releasedMs, signal);',
    becomes: 'using limited = JoinedSignal.within(60_000, signal);',
    suite: removals,
  },
  {
    breaks: 'what was kept for a deleted module is kept for ever',
    text: 'this.#track(this.#retireAgents());\n    this.#releaseKept();',
    becomes: 'this.#track(this.#retireAgents());',
    suite: 'integration/modules/update/kills',
  },
  {
    breaks: 'what was kept for a deleted module is not released by the process that deleted it',
    text: 'if (!isReleased) this.#options.onKept?.();',
    becomes: '',
    suite: removals,
  },
  {
    breaks: 'what is kept for an update in progress is released',
    text: 'if (!this.#mayExist(name)) isDone',
    becomes: 'isDone',
    suite: 'unit/modules/supervisor/update/orphaned-keeps',
  },
  {
    breaks: 'what is kept for a module that could not be restored is released',
    text: 'isKnown(name) || records.ids().includes(name);',
    becomes: 'isKnown(name);',
    suite: 'unit/modules/supervisor/update/orphaned-keeps',
  },
  {
    breaks: 'what is kept for a module whose record is unreadable is released',
    text: 'records.failure !== undefined || records.damaged.size > 0;',
    becomes: 'records.failure !== undefined;',
    suite: 'unit/modules/supervisor/update/orphaned-keeps',
  },
  {
    breaks: 'what was kept for a deleted module is tried to be released only once',
    text: 'if (await this.#releaseAll(signal)) continue;\n      this.#wanted++;',
    becomes: 'if (await this.#releaseAll(signal)) continue;',
    suite: 'unit/modules/supervisor/update/orphaned-keeps',
  },
];
