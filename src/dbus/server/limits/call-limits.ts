/** The limits of the calls of one uid. */
export interface UidLimits {
  /** Calls that are handled at once. */
  readonly active: number;
  /** Calls that wait for an operation, polkit, the user or another service without a slot, and their bytes. */
  readonly parked: number;
  readonly parkedBytes: number;
  /** Calls that wait for a slot, and their bytes; as many rejections may wait to be sent. */
  readonly queued: number;
  readonly queuedBytes: number;
}

/** The limits of concurrent calls; a call above them is LimitsExceeded. */
export interface CallLimits {
  readonly perUid: UidLimits;
  /** For root and each of the four services. */
  readonly trusted: UidLimits;
  /** For all other uids together. */
  readonly others: {
    readonly active: number;
    readonly parkedBytes: number;
    readonly queuedBytes: number;
  };
  /** For a connection besides its first call until the bus has reported its uid, and for all such together. */
  readonly unidentified: {
    readonly calls: number;
    readonly bytes: number;
    readonly totalBytes: number;
    /** Additional bytes for calls without a large body, so that large ones do not block them. */
    readonly reservedBytes: number;
  };
  /** A call that was queued for so long is rejected with Unavailable. */
  readonly queuedMs: number;
  readonly replies: ReplyLimits;
}

/** The limits of the replies to one uid other than root and the four services. */
export interface ReplyLimits {
  /** A reply of more bytes counts as large. */
  readonly largeBytes: number;
  /** The limits of all large replies in `perMs`, and of all replies. */
  readonly largeTotalBytes: number;
  readonly totalBytes: number;
  readonly perMs: number;
}

/** Part of the contract with clients: see the security chapter of the reference. */
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
