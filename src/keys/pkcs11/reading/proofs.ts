import { hash, randomBytes } from 'node:crypto';
import { isServiceError } from '../../../errors.ts';
import { isEc, type PairAlgorithm } from '../../algorithm.ts';
import { verifySignature } from '../../crypto/verify.ts';
import { parseSignRequest, type SignMechanism } from '../../mechanism.ts';
import { ckrName, lossOf } from '../library/ckr.ts';
import type { Token } from '../library/token.ts';
import type { TokenSessions } from '../library/token-sessions.ts';
import { tokenSignature } from '../token-mechanism.ts';
import type { Candidates, PrivateHalf, PublicHalf } from './public-halves.ts';

/** A private key whose public half must be proven. */
export interface Provable extends PrivateHalf {
  readonly alwaysAuthenticate: boolean;
}

/** The public half of a private key, or why there is none. */
export interface Choice {
  readonly half: PublicHalf | undefined;
  readonly problem?: string | undefined;
}

/** Logs in for single operations with keys that require it. */
export type PinUser = Pick<Token, 'useWithPin'>;

interface MissingProof {
  readonly key: Provable;
  readonly half: PublicHalf;
}

/** The problem of a kind of key that the service does not offer, whatever its public half. */
export const notOffered = 'it is not a kind of key that is offered';

/** Whether two halves belong together, or why that is unknown and since when: the reason may be temporary. */
type Verdict = boolean | { readonly problem: string; readonly at: number };

/** The first reading of the token after this time retries failed proofs. */
const reprovedAfterMs = 10_000;

/** Handles come and go: those of keys that were deleted have verdicts, too. */
const maxVerdicts = 10_000;

const noPublicHalf =
  'its public half is not in the token: there is no public key and no certificate of its CKA_ID';
const ofOtherKeys =
  'the public keys and certificates of its CKA_ID are of other keys: its signature verifies with none';
const unproven = 'its public half is not proven yet';

/** Public halves of private keys, chosen while objects are read. */
export interface ProofReading {
  /** Chooses the first candidate that is proven to be the public half of the key. */
  choose(key: Provable, candidates: Candidates): Choice;
  /** Whether proofs are missing: the objects must be read again after `complete`. */
  readonly isIncomplete: boolean;
  /** Makes the missing proofs. */
  complete(sessions: TokenSessions, token: PinUser): Promise<void>;
}

/**
 * Decides which halves of key pairs belong together: a signature proves it as long as the private key's handle is
 * valid. Objects are read synchronously; missing proofs are made afterwards, and then the objects are read again.
 */
export class Proofs {
  readonly #isOwn: (key: PrivateHalf) => boolean;
  #verdicts = new Map<string, Verdict>();
  readonly #elapsedMs: () => number;
  #generation = -1;

  /** Keys that this service created (`isOwn`) need no proof. */
  constructor(isOwn: (key: PrivateHalf) => boolean, elapsedMs = () => performance.now()) {
    this.#isOwn = isOwn;
    this.#elapsedMs = elapsedMs;
  }

  /** Begins reading objects; drops the verdicts of another generation, whose handles are invalid. */
  begin(generation: number): ProofReading {
    if (generation !== this.#generation || this.#verdicts.size > maxVerdicts) {
      this.#generation = generation;
      this.#verdicts = new Map();
    }
    const verdicts = this.#verdicts;
    const missing = new Map<string, MissingProof>();
    return {
      choose: (key, candidates) => this.#choose(key, candidates, missing),
      get isIncomplete() {
        return missing.size > 0;
      },
      complete: async (sessions, token) => {
        for (const { key, half } of missing.values()) {
          const proof = await prove(sessions, { key, half, token });
          const isProven = typeof proof === 'boolean';
          const verdict = isProven ? proof : { problem: proof, at: this.#elapsedMs() };
          verdicts.set(nameOf(key, half), verdict);
        }
      },
    };
  }

  #choose(
    key: Provable,
    { halves, isOther }: Candidates,
    missing: Map<string, MissingProof>,
  ): Choice {
    if (halves.length === 0)
      return { half: undefined, problem: isOther ? notOffered : noPublicHalf };
    let problem: string | undefined;
    for (const half of halves) {
      if (half.isCertain || (halves.length === 1 && this.#isOwn(key))) return { half };
      const verdict = this.#verdictOf(key, half);
      if (verdict === true) return { half };
      if (verdict === undefined) {
        missing.set(nameOf(key, half), { key, half });
        return { half: undefined, problem: unproven };
      }
      if (verdict !== false) problem = `its public half cannot be proven: ${verdict.problem}`;
    }
    return { half: undefined, problem: problem ?? ofOtherKeys };
  }

  #verdictOf(key: Provable, half: PublicHalf): Verdict | undefined {
    const verdict = this.#verdicts.get(nameOf(key, half));
    if (typeof verdict !== 'object' || this.#elapsedMs() - verdict.at < reprovedAfterMs)
      return verdict;
    return undefined;
  }
}

async function prove(
  sessions: TokenSessions,
  { key, half, token }: MissingProof & { readonly token: PinUser },
): Promise<boolean | string> {
  const { algorithm, spki } = half;
  const request = parseSignRequest(mechanismOf(algorithm), randomBytes(32), false);
  const { mechanism, input, finish } = tokenSignature(algorithm, request);
  const sign = (pin: Buffer | undefined): Promise<Buffer> =>
    sessions.sign({ key: key.handle, mechanism, data: input, pin });
  try {
    const signature = await (key.alwaysAuthenticate ? token.useWithPin(sign) : sign(undefined));
    return verifySignature({ algorithm, spki }, request, finish(signature));
  } catch (error) {
    if (lossOf(error) !== undefined) throw error;
    const name = isServiceError(error) ? error.message : ckrName(error);
    if (name === undefined) throw error;
    // this kind of key cannot sign this way: the candidate belongs to another one
    return name;
  }
}

function mechanismOf(algorithm: PairAlgorithm): SignMechanism {
  if (algorithm === 'ed25519') return { family: 'ed25519' };
  return { family: isEc(algorithm) ? 'ecdsa' : 'rsa-pkcs1', hash: 'sha256' };
}

function nameOf({ handle }: PrivateHalf, { spki }: PublicHalf): string {
  return `${handle.toString('hex')} ${hash('sha256', spki, 'base64')}`;
}
