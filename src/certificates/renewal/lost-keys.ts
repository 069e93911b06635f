import type { Via } from '../../dbus/client/via.ts';
import type { CertificateEntry } from '../certificate-entry.ts';
import type { KeyState, OrderKeys } from '../keys/keys-client.ts';

/** Keys of certificates that were found missing, or replaced by others. */
export class LostKeys {
  readonly ids = new Set<string>();

  /** Records what was found. */
  note(keyId: string, state: KeyState): void {
    if (state === 'matches') this.ids.delete(keyId);
    else if (state !== 'unavailable') this.ids.add(keyId);
  }

  /** Looks up the key with this public half; returns whether it is lost. Rejects when the Keys service is unreachable. */
  async check(
    keyId: string,
    spki: Buffer,
    { keys, via }: { readonly keys: OrderKeys; readonly via: Via },
  ): Promise<boolean> {
    this.note(keyId, await keys.lookup(via).stateOf(keyId, spki));
    return this.ids.has(keyId);
  }

  /** Looks up the keys of certificates that are issued here. */
  async checkAll(
    entries: readonly CertificateEntry[],
    { keys, via }: { readonly keys: OrderKeys; readonly via: Via },
  ): Promise<void> {
    const lookup = keys.lookup(via);
    for (const { chain, keyId, enrolment } of entries) {
      const { successor, order } = enrolment ?? {};
      if (enrolment === undefined || enrolment.method === 'none') continue;
      const held = [
        { keyId, spki: chain[0]?.spki },
        { keyId: successor?.keyId, spki: successor?.chain[0]?.spki },
        { keyId: order?.keyId, spki: order?.spki },
      ];
      for (const { keyId: one, spki } of held) {
        if (one === undefined || one === '' || spki === undefined) continue;
        this.note(one, await lookup.stateOf(one, spki));
      }
    }
  }
}
