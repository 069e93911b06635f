/**
 * Explores every state that a certificate can get into: any step may be interrupted before and after its effect, refused,
 * pending, late or followed by the wish for another key; between any two steps the clock may be set, a key lost, the
 * settings changed. Time is counted in units.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type {
  EnrolmentRecord,
  KeyedChain,
  PendingOrder,
} from '../../../../src/certificates/renewal/enrolment.ts';
import {
  graceMs,
  isUsable,
  nextStep,
  type RenewalRule,
  type Step,
} from '../../../../src/certificates/renewal/next-step.ts';
import * as transitions from '../../../../src/certificates/renewal/transitions.ts';
import type { Certificate } from '../../../../src/x509/certificate.ts';

const test = suite('steps of enrolments and renewals');

const unit = graceMs;
const life = 2;
/** A certificate that becomes valid later than this is as far ahead as one that becomes valid then. */
const furthest = 1;
/** Times are relative to the certificates, so exploring begins in the middle. */
const start = 1000;

/** Everything that a step depends on. */
interface State {
  readonly now: number;
  /** Whether the clock was never set; `now` is then that of the next time that it is set. */
  readonly isUnset: boolean;
  readonly settings: 'a' | 'b' | 'none';
  readonly record: EnrolmentRecord;
  readonly keys: readonly string[];
}

function certificateFrom(begin: number): Certificate {
  const [notBefore, notAfter] = [new Date(begin * unit), new Date((begin + life) * unit)];
  return { notBefore, notAfter, fingerprint: 'f' } as Certificate; // what steps depend on
}

function ruleOf({ settings }: State): RenewalRule {
  return { isIssued: settings !== 'none', renewal: { afterShare: 0.5 }, settings };
}

function circumstancesOf({ now, isUnset, record, keys }: State) {
  const { order, successor, previous = [] } = record.enrolment ?? {};
  const named = [record.keyId, order?.spki && order.keyId, successor?.keyId];
  const all = [...named, ...previous.map(({ keyId }) => keyId)];
  const lost = all.filter((id) => id !== undefined && !keys.includes(id));
  return {
    now: isUnset ? 0 : now * unit,
    earliest: unit,
    lostKeys: new Set(lost.filter((id) => id !== undefined)),
  };
}

function newKeyId({ record, keys }: State): string {
  const used = new Set([...keys, ...(record.enrolment?.ownKeys ?? []), record.keyId]);
  for (let n = 1; ; n++) if (!used.has(`k${n}`)) return `k${n}`;
}

function orderOf(state: State, attempts = 0): PendingOrder {
  const { now } = circumstancesOf(state);
  return {
    method: 'local_ca',
    profile: 'client',
    issuer: 'ca',
    keyId: newKeyId(state),
    keyAlgorithms: [],
    csr: undefined,
    template: undefined,
    spki: undefined,
    cookie: undefined,
    attempts,
    since: now,
    nextAttempt: attempts === 0 ? now : now + unit,
    reason: '',
    isStuck: false,
    isRequested: false,
    isRekeyed: false,
    settings: state.settings,
  };
}

/** The record with an order for another key, because the issuer wants one. */
function rekeyed(state: State): EnrolmentRecord {
  const order = { ...orderOf(state), isRekeyed: true };
  return transitions.ordered(state.record, order, { isNewKey: true });
}

/** The states after a step; the first is that of a step which succeeds at once. */
function outcomesOf(state: State, step: Step): readonly State[] {
  const { record, keys } = state;
  const { now } = circumstancesOf(state);
  const to = (changed: EnrolmentRecord, left = keys): State => ({
    ...state,
    record: changed,
    keys: left,
  });
  const retry = { now, delayMs: unit, reason: 'why' };
  const { order } = record.enrolment ?? {};
  switch (step.kind) {
    case 'order': {
      const isRekeyed = order?.isRekeyed === true && order.settings === state.settings;
      const next = { ...orderOf(state, order?.attempts), isRekeyed };
      return [to(transitions.ordered(record, next, { isNewKey: true }))];
    }
    case 'make key': {
      const made = [...new Set([...keys, order?.keyId ?? ''])].toSorted();
      const key = { csr: Buffer.from('csr'), template: undefined, spki: Buffer.from('spki') };
      return [to(transitions.keyMade(record, key), made), to(record, made)];
    }
    case 'submit':
    case 'poll': {
      const issued = [state.now, state.now + 1].map((begin) =>
        to(transitions.issued(record, [certificateFrom(begin)])),
      );
      return [
        ...issued,
        to(transitions.pending(record, 'cookie', retry)),
        to(transitions.failed(record, { ...retry, isFinal: false })),
        to(transitions.failed(record, { ...retry, isFinal: true })),
        to(
          transitions.failed(transitions.decided(record), {
            ...retry,
            isFinal: true,
            isRepeated: true,
          }),
        ),
        // a second wish for another key is a final refusal
        ...(order?.isRekeyed === true ? [] : [to(rekeyed(state))]),
        state,
      ];
    }
    case 'commit':
      return [to(transitions.committed(record, now, 1))];
    case 'restore': {
      const isKeyLost = circumstancesOf(state).lostKeys.has(record.keyId);
      return [to(transitions.restored(record, step.former, { isKeyLost }))];
    }
    case 'discard':
      return [to(transitions.discarded(record))];
    case 'abandon':
      return [to(transitions.abandoned(record))];
    case 'end grace':
      return [to(transitions.graceEnded(record, now))];
    case 'retire key': {
      const left = keys.filter((id) => id !== step.keyId);
      return [to(transitions.keyRetired(record, step.keyId), left), to(record, left)];
    }
    case 'wait':
      return [];
  }
}

/** The states after something that happens between two steps. */
function eventsOf(state: State): readonly State[] {
  const { now, keys, record } = state;
  const times = [now + 1, now + life, now - 1, now - furthest];
  const isFar = (time: number): boolean =>
    chainsOf(record).some((one) => startOf(one) - time > furthest);
  const lost = keys
    .filter((key) => isNamed(record, key))
    .map((key) => ({ ...state, keys: keys.filter((one) => one !== key) }));
  const others = (['a', 'b', 'none'] as const).filter((one) => one !== state.settings);
  const hastened = transitions.hastened(record, circumstancesOf(state).now);
  const isStuck = isStuckForGood(record);
  return [
    ...times.filter((time) => !isFar(time)).map((time) => ({ ...state, now: time })),
    { ...state, isUnset: !state.isUnset },
    ...lost,
    ...others.map((settings) => ({ ...state, settings })),
    ...(isStuck ? [{ ...state, record: hastened }] : []),
  ];
}

/** Whether the order is submitted again only when it is hastened. */
function isStuckForGood({ enrolment }: EnrolmentRecord): boolean {
  return enrolment?.order?.isStuck === true && enrolment.order.nextAttempt === 0;
}

function startOf({ chain: [one] }: KeyedChain): number {
  return (one?.notBefore.getTime() ?? 0) / unit;
}

function chainsOf(record: EnrolmentRecord): readonly KeyedChain[] {
  const { successor, previous = [] } = record.enrolment ?? {};
  const all = [record, ...(successor === undefined ? [] : [successor]), ...previous];
  return all.filter(({ chain }) => chain.length > 0);
}

function isNamed(record: EnrolmentRecord, keyId: string): boolean {
  const { order, ownKeys = [] } = record.enrolment ?? {};
  return ownKeys.includes(keyId) || order?.keyId === keyId || record.keyId === keyId;
}

/** A text that is the same for states which behave the same: times are relative, keys are named in the order of use. */
function nameOf({ now, isUnset, settings, record, keys }: State): string {
  const names = new Map<string, number>();
  const key = (id: string | undefined): string => {
    if (id === undefined || id === '') return '-';
    if (!names.has(id)) names.set(id, names.size);
    return `${names.get(id)}${keys.includes(id) ? '' : '!'}`;
  };
  const held = (one: KeyedChain): string =>
    one.chain.length === 0
      ? '-'
      : `${Math.min(furthest, Math.max(startOf(one) - now, -life - 1))}:${key(one.keyId)}`;
  const { order, successor, previous = [], ownKeys = [], since = 0 } = record.enrolment ?? {};
  const age = since > now * unit ? 0 : since / unit - startOf(record);
  const wait = (order?.nextAttempt ?? 0) / unit - now;
  return [
    isUnset,
    settings === 'none',
    held(record),
    record.chain.length === 0 ? '' : Math.max(0, Math.min(age, life)),
    order === undefined
      ? ''
      : [
          // until there is a request its key is made in any case
          order.spki === undefined ? '' : key(order.keyId),
          order.spki !== undefined,
          order.cookie !== undefined,
          order.isStuck,
          order.isRekeyed,
          order.settings === settings ? '' : order.settings === 'a' || order.settings === 'b',
          // whether the clock was set back, or how long it has to wait
          order.nextAttempt === 0 ? '' : order.since > now * unit ? 'back' : Math.max(0, wait),
        ].join(),
    successor === undefined ? '' : `${held(successor)}${successor.wasCurrent}`,
    previous
      .map((one) => `${held(one)}~${Math.max(0, Math.min(2, one.until / unit - now))}`)
      .join(),
    // the others are retired whether they exist or not
    ownKeys
      .map((id) => (names.has(id) ? key(id) : 'unused'))
      .toSorted()
      .join(),
  ].join('|');
}

function check(before: State, step: Step, after: State): void {
  const circumstances = circumstancesOf(before);
  if (isUsable(before.record, circumstances)) {
    const text = `${step.kind} replaces a usable certificate: ${nameOf(before)}`;
    assert.ok(isUsable(after.record, circumstancesOf(after)), text);
  }
  const forgotten = after.keys.find((key) => !isNamed(after.record, key));
  assert.is(forgotten, undefined, `${step.kind} forgets a key: ${nameOf(before)}`);
  if (step.kind !== 'retire key') return;
  const { keyId, enrolment } = after.record;
  const { order, successor, previous = [] } = enrolment ?? {};
  const inUse = [keyId, order?.keyId, successor?.keyId, ...previous.map((one) => one.keyId)];
  assert.not(inUse.includes(step.keyId), `a key in use is retired: ${nameOf(before)}`);
}

/** The state at the end of undisturbed steps; throws when there is no usable certificate then. */
function settle(from: State, settled: Set<string>): void {
  const path: string[] = [];
  let state: State = from.settings === 'none' ? { ...from, settings: 'a' } : from;
  for (let steps = 0; steps < 60; steps++) {
    const name = nameOf(state);
    if (settled.has(name)) break;
    path.push(name);
    const circumstances = circumstancesOf(state);
    const step = nextStep(state.record, ruleOf(state), circumstances);
    const { record } = state;
    if (step.kind !== 'wait') {
      const [next = state] = outcomesOf(state, step);
      check(state, step, next);
      state = next;
    } else if (isUsable(record, circumstances)) break;
    else if (isStuckForGood(record)) {
      state = { ...state, record: transitions.hastened(record, circumstances.now) };
    } else if (record.chain.length === 0 && step.until === undefined) {
      // the order was dropped: a call orders it again
      state = { ...state, record: transitions.ordered(record, orderOf(state), { isNewKey: true }) };
    } else {
      assert.ok(step.until !== undefined && step.until > circumstances.now, `a dead end: ${name}`);
      state = state.isUnset
        ? { ...state, isUnset: false }
        : { ...state, now: Math.ceil(step.until / unit) };
    }
    assert.ok(steps < 59, `no certificate after ${path.join('\n')}`);
  }
  for (const name of path) settled.add(name);
}

test('keep a usable certificate, keep keys that are in use, and always lead to a certificate', () => {
  const empty: EnrolmentRecord = { chain: [], keyId: '', enrolment: undefined };
  const blank: State = { now: start, isUnset: false, settings: 'a', record: empty, keys: [] };
  const enrolling = transitions.ordered(empty, orderOf(blank), { isNewKey: true });
  const first: State = { ...blank, record: enrolling };
  const seen = new Set([nameOf(first)]);
  const settled = new Set<string>();
  const queue = [first];
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    settle(state, settled);
    const step = nextStep(state.record, ruleOf(state), circumstancesOf(state));
    const outcomes = outcomesOf(state, step);
    for (const after of outcomes) check(state, step, after);
    for (const next of [...outcomes, ...eventsOf(state)]) {
      const name = nameOf(next);
      if (seen.has(name)) continue;
      seen.add(name);
      queue.push(next);
    }
  }
  console.log(`${seen.size} states`);
  assert.ok(seen.size > 1000);
});

test.run();
