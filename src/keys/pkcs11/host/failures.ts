import { describeError } from '../../../errors.ts';
import type { Failure } from '../protocol/messages.ts';

/** A function of PKCS#11 that did not return CKR_OK. */
export class CkrError extends Error {
  override readonly name = 'CkrError';
  readonly ckr: string;
  readonly call: string;

  constructor(ckr: string, call: string) {
    super(`${call}: ${ckr}`);
    this.ckr = ckr;
    this.call = call;
  }
}

/** The pool of a request is closed: its sessions are gone. */
export class LostError extends Error {
  override readonly name = 'LostError';

  constructor() {
    super('session lost');
  }
}

/** The CKR name of an error of a library, undefined for any other. */
export function ckrName(error: unknown): string | undefined {
  return error instanceof CkrError ? error.ckr : undefined;
}

/** The failure of a request. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CkrError) return { kind: 'ckr', ckr: error.ckr, call: error.call };
  if (error instanceof LostError) return { kind: 'lost' };
  return { kind: 'other', message: describeError(error) };
}
