import type { CertificateId } from '../../ids.ts';
import type { Certificate } from '../../x509/certificate.ts';
import type { EstSettings } from '../config/est-settings.ts';
import type { EstSession } from './est-session.ts';
import type { Demand } from './request/csr-attributes.ts';

/** What was learned from a server before the key of an order was made. */
export interface PreparedOrder {
  readonly session: EstSession;
  readonly refused: readonly Certificate[];
  readonly others: readonly Certificate[];
  readonly demands: readonly Demand[];
}

/** A token takes seconds for an RSA key. */
const validMs = 60_000;

/** Prepared orders, each for one attempt: a server is not asked again for what it has just said. */
export class PreparedOrders {
  readonly #orders = new Map<
    CertificateId,
    { readonly order: PreparedOrder; readonly key: string; readonly at: number }
  >();

  put(id: CertificateId, settings: EstSettings, order: PreparedOrder): void {
    this.#orders.set(id, { order, key: JSON.stringify(settings), at: performance.now() });
  }

  /** Undefined where there is none, and after other settings or some time. */
  take(id: CertificateId, settings: EstSettings): PreparedOrder | undefined {
    const found = this.#orders.get(id);
    this.#orders.delete(id);
    if (found === undefined || performance.now() - found.at > validMs) return undefined;
    return found.key === JSON.stringify(settings) ? found.order : undefined;
  }
}
