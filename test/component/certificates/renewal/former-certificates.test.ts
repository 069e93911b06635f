/**
 * Explores every state of the list of former certificates: renewals with a new key or the same one at any time, and
 * between any two steps a set clock, a lost key or an interruption. Orders are explored in `next-step`; time is counted
 * in halves of the grace period.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Enrolment,
  type EnrolmentRecord,
  type Former,
  imported,
  type PendingOrder,
} from '../../../../src/certificates/renewal/enrolment.ts';
import {
  graceMs,
  isUsable,
  nextStep,
  type Step,
} from '../../../../src/certificates/renewal/next-step.ts';
import * as transitions from '../../../../src/certificates/renewal/transitions.ts';
import type { Certificate } from '../../../../src/x509/certificate.ts';

const test = suite('former certificates');

const unit = graceMs / 2;
const grace = 2;
const life = 3;
const start = 1000;
const rule = { isIssued: false, renewal: { afterShare: 1 }, settings: '' };

/** How far an exploration goes, as longer lists have more states. */
interface Bounds {
  /** The longest list of former certificates. */
  readonly max: number;
  /** The clock is not set back further before the latest certificate than this. */
  readonly furthest: number;
}

interface State {
  readonly bounds: Bounds;
  readonly now: number;
  readonly record: EnrolmentRecord;
  readonly keys: readonly string[];
}

function certificateFrom(begin: number): Certificate {
  const [notBefore, notAfter] = [new Date(begin * unit), new Date((begin + life) * unit)];
  return { notBefore, notAfter, fingerprint: 'f' } as Certificate; // what steps depend on
}

function circumstancesOf({ now, record, keys }: State) {
  const { successor, previous = [] } = record.enrolment ?? {};
  const all = [record, ...(successor === undefined ? [] : [successor]), ...previous];
  const lost = all.map(({ keyId }) => keyId).filter((id) => !keys.includes(id));
  return { now: now * unit, earliest: unit, lostKeys: new Set(lost) };
}

/** A certificate is issued, for a new key or the present one; it becomes current with the next step. */
function issued(state: State, isNewKey: boolean): State {
  const { now, record, keys } = state;
  const used = [...keys, record.keyId, ...(record.enrolment?.ownKeys ?? [])];
  let n = 1;
  while (used.includes(`k${n}`)) n++;
  const keyId = isNewKey ? `k${n}` : record.keyId;
  const order: PendingOrder = {
    method: 'local_ca',
    profile: 'client',
    issuer: 'ca',
    keyId,
    keyAlgorithms: [],
    csr: undefined,
    template: undefined,
    spki: undefined,
    cookie: undefined,
    attempts: 0,
    since: 0,
    nextAttempt: 0,
    reason: '',
    isStuck: false,
    isRequested: true,
    isRekeyed: false,
    settings: '',
  };
  const ordered = transitions.ordered(record, order, { isNewKey });
  return {
    ...state,
    record: transitions.issued(ordered, [certificateFrom(now)]),
    keys: isNewKey ? [...keys, keyId] : keys,
  };
}

/** A renewal up to the step that makes the issued certificate current. */
function renewed(state: State, isNewKey: boolean): State {
  const before = issued(state, isNewKey);
  const step = nextStep(before.record, rule, circumstancesOf(before));
  assert.is(step.kind, 'commit');
  const [after = before] = outcomesOf(before, step);
  check(before, step, after);
  return after;
}

/** The state after a step, with its effect alone and with its change of the record. */
function outcomesOf(state: State, step: Step): readonly State[] {
  const { now, record, keys } = state;
  const to = (changed: EnrolmentRecord, left = keys): State => ({
    ...state,
    record: changed,
    keys: left,
  });
  const time = now * unit;
  switch (step.kind) {
    case 'commit':
      return [to(transitions.committed(record, time, state.bounds.max))];
    case 'restore': {
      const isKeyLost = circumstancesOf(state).lostKeys.has(record.keyId);
      return [to(transitions.restored(record, step.former, { isKeyLost }))];
    }
    case 'discard':
      return [to(transitions.discarded(record))];
    case 'end grace':
      return [to(transitions.graceEnded(record, time))];
    case 'retire key': {
      const left = keys.filter((id) => id !== step.keyId);
      return [to(transitions.keyRetired(record, step.keyId), left), to(record, left)];
    }
    case 'wait':
      return [];
    default:
      throw new Error(`there is no order: ${step.kind}`);
  }
}

function eventsOf(state: State): readonly State[] {
  const { now, record, keys } = state;
  const { successor, ownKeys = [] } = record.enrolment ?? {};
  const named = new Set([record.keyId, ...formerOf(record).map(({ keyId }) => keyId)]);
  // keys that are left over are deleted after each renewal
  const unused = ownKeys.filter((id) => !named.has(id));
  const mayBeRenewed = successor === undefined && unused.length === 0;
  const isFar = (time: number): boolean =>
    [record, ...(successor ? [successor] : []), ...formerOf(record)].some(
      (one) => startOf(one) - time > state.bounds.furthest,
    );
  const times = [now + 1, now - 1];
  return [
    ...(mayBeRenewed ? [renewed(state, true)] : []),
    ...(mayBeRenewed && keys.includes(record.keyId) ? [renewed(state, false)] : []),
    ...times.filter((time) => !isFar(time)).map((time) => ({ ...state, now: time })),
    { ...state, keys: keys.filter((id) => id !== record.keyId) },
  ];
}

function startOf({ chain: [certificate] }: Pick<EnrolmentRecord, 'chain'>): number {
  return (certificate?.notBefore.getTime() ?? 0) / unit;
}

/** A text that is the same for states which behave the same. */
function nameOf({ now, record, keys }: State): string {
  const names = new Map<string, number>();
  const key = (id: string): string => {
    if (!names.has(id)) names.set(id, names.size);
    return `${names.get(id)}${keys.includes(id) ? '' : '!'}`;
  };
  const held = (one: Pick<EnrolmentRecord, 'chain' | 'keyId'>): string =>
    `${Math.max(startOf(one) - now, -life - 1)}:${key(one.keyId)}`;
  const { successor, previous = [], ownKeys = [] } = record.enrolment ?? {};
  return [
    held(record),
    successor === undefined ? '' : `${held(successor)}${successor.wasCurrent}`,
    ...previous.map(
      (one) => `${held(one)}~${Math.max(0, Math.min(grace + 1, one.until / unit - now))}`,
    ),
    ownKeys.filter((id) => !names.has(id)).length,
  ].join('|');
}

/** The list changes only by a renewal, the ends of grace periods, or a certificate that becomes current again. */
function check(before: State, step: Step, after: State): void {
  const fail = (what: string): void =>
    assert.unreachable(`${step.kind}: ${what}: ${nameOf(before)}`);
  const now = before.now * unit;
  const listed = formerOf(before.record);
  const left = formerOf(after.record);
  const mustBe = (expected: readonly Former[]): void => {
    const isSame = expected.every(
      (one, at) => one.chain === left[at]?.chain && one.until === left[at].until,
    );
    if (left.length !== expected.length || !isSame) fail('the list is wrong');
  };
  if (
    isUsable(before.record, circumstancesOf(before)) &&
    !isUsable(after.record, circumstancesOf(after))
  ) {
    fail('a usable certificate is replaced');
  }
  const { chain, keyId, enrolment } = before.record;
  if (step.kind === 'commit') {
    const valid = listed.filter((one) => (one.chain[0]?.notAfter.getTime() ?? 0) >= now);
    const replaced = { ...imported, chain, keyId, until: now + graceMs };
    mustBe([replaced, ...valid.slice(0, before.bounds.max - 1)]);
  } else if (step.kind === 'restore') mustBe(listed.filter((one) => one !== step.former));
  else if (step.kind === 'end grace') {
    const lasting = listed.filter(({ until }) => until > now);
    mustBe(lasting.map((one) => ({ ...one, until: Math.min(one.until, now + graceMs) })));
  } else mustBe(listed);
  const { keys, record } = after;
  const named = [record.keyId, ...left.map((one) => one.keyId), record.enrolment?.successor?.keyId];
  if (
    keys.some((key) => !named.includes(key) && record.enrolment?.ownKeys.includes(key) !== true)
  ) {
    fail('a key is forgotten');
  }
  if (step.kind !== 'retire key') return;
  if (named.includes(step.keyId) || enrolment?.ownKeys.includes(step.keyId) !== true) {
    fail('a key in use is retired');
  }
}

function formerOf({ enrolment }: EnrolmentRecord): readonly Former[] {
  return enrolment?.previous ?? [];
}

/** Without renewals nothing is left in the end but the current certificate and its key, after few steps. */
function settle(from: State): void {
  let state = from;
  for (let steps = 0; ; steps++) {
    const { successor } = state.record.enrolment ?? {};
    const step = nextStep(state.record, rule, circumstancesOf(state));
    const [next] = outcomesOf(state, step);
    if (next !== undefined) check(state, step, next);
    const until = step.kind === 'wait' && step.until !== undefined ? step.until / unit : undefined;
    const later = until ?? (successor && startOf(successor));
    if (next === undefined && later === undefined) break;
    state = next ?? { ...state, now: Math.ceil(later ?? 0) };
    if (steps > 3 * from.bounds.max + 6) fail('it does not end');
  }
  function fail(what: string): void {
    assert.unreachable(`${what}: ${nameOf(from)}`);
  }
  const { record, keys } = state;
  if (formerOf(record).length > 0 || keys.some((key) => key !== record.keyId)) fail('more is left');
}

const current: Enrolment = {
  ...imported,
  method: 'local_ca',
  since: 0,
  order: undefined,
  successor: undefined,
  previous: [],
  ownKeys: [],
  isDeleted: false,
};

/** Explores every state; returns how many there are, and the length of the longest list. */
function explore(bounds: Bounds): { readonly states: number; readonly longest: number } {
  const enrolment: Enrolment = { ...current, ownKeys: ['k1'] };
  const record = { chain: [certificateFrom(start)], keyId: 'k1', enrolment };
  const first: State = { bounds, now: start, record, keys: ['k1'] };
  const seen = new Set([nameOf(first)]);
  const queue = [first];
  let longest = 0;
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    longest = Math.max(longest, formerOf(state.record).length);
    settle(state);
    const step = nextStep(state.record, rule, circumstancesOf(state));
    const outcomes = outcomesOf(state, step);
    for (const after of outcomes) check(state, step, after);
    for (const next of [...outcomes, ...eventsOf(state)]) {
      const name = nameOf(next);
      if (seen.has(name)) continue;
      seen.add(name);
      queue.push(next);
    }
  }
  return { states: seen.size, longest };
}

for (const bounds of [
  { max: 3, furthest: 0 },
  { max: 2, furthest: 1 },
]) {
  test(`stay until their own times with their keys, at most ${bounds.max}, and then go`, () => {
    const { states, longest } = explore(bounds);
    console.log(`${states} states`);
    assert.is(longest, bounds.max);
    assert.ok(states > 1000);
  });
}

test('that are valid and make room for others have keys that are dropped early, expired ones have not', () => {
  const former = (keyId: string, begin: number): Former => ({
    ...imported,
    chain: [certificateFrom(begin)],
    keyId,
    until: (begin + grace) * unit,
  });
  const chain = [certificateFrom(6)];
  const of = (previous: readonly Former[]): EnrolmentRecord => ({
    chain,
    keyId: 'now',
    enrolment: { ...current, ownKeys: ['now', 'valid', 'expired'], previous },
  });
  const before = of([former('valid', 5), former('expired', 1)]);
  assert.equal(transitions.keysDropped(before, of([]), 6 * unit), ['valid']);
});

test.run();
