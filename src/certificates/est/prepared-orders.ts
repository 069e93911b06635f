import type { CertificateId } from '../../ids.ts';
import type { Certificate } from '../../x509/certificate.ts';
import type { EstSettings } from '../config/est-settings.ts';
import type { KeylessOrder } from '../issuers/issuer.ts';
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

/**
 * Prepared orders, each for one attempt: a server is not asked again for what it has just said. Their sessions may have
 * the password of the server, so those that are not used are dropped after some time.
 */
export class PreparedOrders {
  readonly #orders = new Map<
    CertificateId,
    { readonly order: PreparedOrder; readonly key: string; readonly timer: NodeJS.Timeout }
  >();

  put(order: Subject, settings: EstSettings, prepared: PreparedOrder): void {
    const { id } = order;
    clearTimeout(this.#orders.get(id)?.timer);
    const timer = setTimeout(() => this.#orders.delete(id), validMs).unref();
    this.#orders.set(id, { order: prepared, key: keyOf(order, settings), timer });
  }

  /** Undefined where there is none for this order, and after other settings or some time. */
  take(order: Subject, settings: EstSettings): PreparedOrder | undefined {
    const found = this.#orders.get(order.id);
    clearTimeout(found?.timer);
    this.#orders.delete(order.id);
    return found?.key === keyOf(order, settings) ? found.order : undefined;
  }
}

type Subject = Pick<KeylessOrder, 'id' | 'renewed'>;

/** The session presents the certificate that is renewed, which is not for an order of another caller. */
function keyOf({ renewed }: Subject, settings: EstSettings): string {
  return JSON.stringify([settings, renewed?.chain[0]?.fingerprint]);
}
