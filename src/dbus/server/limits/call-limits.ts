/** How many calls of one uid are handled, wait, and how much of it is held. */
export interface UidLimits {
  /** Calls that are handled at once. */
  readonly active: number;
  /** Calls that wait for an operation, polkit, a person or another service, hold no place, and what they may have. */
  readonly parked: number;
  readonly parkedBytes: number;
  /** Calls that wait for a place, and what they may have in bytes; as many refusals may wait to be sent. */
  readonly queued: number;
  readonly queuedBytes: number;
}

/** What a service takes on at once; what is above is LimitsExceeded. */
export interface CallLimits {
  readonly perUid: UidLimits;
  /** Of root and of the four services, each. */
  readonly trusted: UidLimits;
  /** For all uids but those, together. */
  readonly others: {
    readonly active: number;
    readonly parkedBytes: number;
    readonly queuedBytes: number;
  };
  /** Of one connection until the bus has reported its uid, beside its first call; and of all such connections together. */
  readonly unidentified: {
    readonly calls: number;
    readonly bytes: number;
    readonly totalBytes: number;
    /** Beyond that, for calls without a large body: what others send must not keep these out. */
    readonly reservedBytes: number;
  };
  /** What has queued for so long is Unavailable and not begun. */
  readonly queuedMs: number;
  readonly replies: ReplyLimits;
}

/** How much one uid, other than root and the four services, is sent. */
export interface ReplyLimits {
  /** A reply of more bytes is a large one. */
  readonly largeBytes: number;
  /** What all large replies may have together in `perMs`, and what all replies may have. */
  readonly largeTotalBytes: number;
  readonly totalBytes: number;
  readonly perMs: number;
}

/** See the security chapter of the reference: these numbers are part of the contract with clients. */
export const defaultCallLimits: CallLimits = {
  perUid: { active: 64, parked: 256, parkedBytes: 16 << 20, queued: 512, queuedBytes: 2 << 20 },
  trusted: { active: 64, parked: 1024, parkedBytes: 64 << 20, queued: 2048, queuedBytes: 4 << 20 },
  others: { active: 512, parkedBytes: 64 << 20, queuedBytes: 64 << 20 },
  unidentified: { calls: 512, bytes: 128 << 10, totalBytes: 32 << 20, reservedBytes: 8 << 20 },
  queuedMs: 20_000,
  replies: {
    largeBytes: 4 << 10,
    largeTotalBytes: 8 << 20,
    totalBytes: 16 << 20,
    perMs: 10_000,
  },
};
