import { ServiceError } from '../../errors.ts';
import type { KeyId } from '../../ids.ts';
import { Mutex } from '../../service/mutex.ts';
import { refuseUnusable } from '../../service/state/state-file.ts';
import {
  canHave,
  isSymmetricAlgorithm,
  type PairAlgorithm,
  type SymmetricAlgorithm,
} from '../algorithm.ts';
import type { KeyAttributes, Material } from '../store.ts';
import { newCkaId } from './cka-id.ts';
import { ckrName, isNotSupported } from './library/ckr.ts';
import { findAll } from './library/objects.ts';
import type { Session } from './library/session.ts';
import {
  importTemplates,
  leanPairTemplate,
  type Names,
  type PairTemplate,
  pairTemplate,
  secretTemplate,
  wipe,
} from './library/templates.ts';
import type { TokenKeyRecord } from './records.ts';
import type { Token } from './token.ts';
import { TokenJournal } from './token-journal.ts';
import { type KeyMetadata, type Labelled, lookUp } from './token-keys.ts';
import type { TokenReader } from './token-reader.ts';

interface NewPair {
  readonly algorithms: readonly PairAlgorithm[];
  readonly attributes: KeyAttributes;
}

interface NewSymmetric {
  readonly algorithm: SymmetricAlgorithm;
  readonly attributes: KeyAttributes;
}

interface NewImport {
  readonly material: Material;
  readonly attributes: KeyAttributes;
}

/** Makes and removes keys in one token. */
export class TokenWriter {
  readonly #token: Token;
  readonly #metadata: KeyMetadata;
  readonly #reader: TokenReader;
  readonly #journal: TokenJournal;
  /** One change at a time: settling would roll back a running one. */
  readonly #changes = new Mutex();

  constructor(
    token: Token,
    { metadata, reader }: { readonly metadata: KeyMetadata; readonly reader: TokenReader },
  ) {
    this.#token = token;
    this.#metadata = metadata;
    this.#reader = reader;
    this.#journal = new TokenJournal(token, metadata.records);
  }

  /** Makes a pair of the first algorithm that the token knows. */
  async createPair(id: KeyId, made: NewPair, signal: AbortSignal): Promise<void> {
    await this.#changes.run(() => this.#createPair(id, made, signal));
  }

  /** Makes a symmetric key. */
  async createSymmetric(id: KeyId, made: NewSymmetric, signal: AbortSignal): Promise<void> {
    await this.#changes.run(() => this.#createSymmetric(id, made, signal));
  }

  /** Puts material into the token, in the place of the key that has the id. */
  async importKey(id: KeyId, made: NewImport, signal: AbortSignal): Promise<void> {
    await this.#changes.run(() => this.#importKey(id, made, signal));
  }

  /** Removes the objects of a key, then its record. NotFound when there is none. */
  async deleteKey(id: KeyId, signal: AbortSignal): Promise<void> {
    await this.#changes.run(() => this.#deleteKey(id, signal));
  }

  /** Finishes or rolls back what was under way when the service last stopped, unless a change is being made. */
  async settle(signal: AbortSignal): Promise<void> {
    if (this.#changes.isHeld) return;
    await this.#changes.run(() => this.#journal.settleAll(signal));
  }

  async #createPair(id: KeyId, made: NewPair, signal: AbortSignal): Promise<void> {
    const { usages } = made.attributes;
    const record = newRecord(id, made.attributes, { origin: 'generated' });
    await this.#journal.add(
      { ...record, pending: await this.#nothing(id, signal) },
      signal,
      async (session) => {
        for (const algorithm of made.algorithms) {
          if (!usages.every((usage) => canHave(algorithm, usage))) continue;
          const template = pairTemplate(names(record), algorithm, usages);
          if (await this.#generate(session, record, template)) return;
        }
        throw cannot(`make a key pair of ${made.algorithms.join(', ')} for ${usages.join(', ')}`);
      },
    );
  }

  /** False when the token says that it cannot. */
  async #generate(
    session: Session,
    record: TokenKeyRecord,
    template: PairTemplate,
  ): Promise<boolean> {
    try {
      if (await supported(() => session.generatePair(template))) return true;
    } catch (error) {
      const isUnclear = ckrName(error) === 'CKR_GENERAL_ERROR';
      if (
        !isUnclear ||
        findAll(session, { label: record.id, ckaId: names(record).ckaId }).length > 0
      )
        throw error;
    }
    return supported(() => session.generatePair(leanPairTemplate(template)));
  }

  async #createSymmetric(id: KeyId, made: NewSymmetric, signal: AbortSignal): Promise<void> {
    const { algorithm, attributes } = made;
    const record = newRecord(id, attributes, { origin: 'generated', algorithm });
    await this.#journal.add(
      { ...record, pending: await this.#nothing(id, signal) },
      signal,
      async (session) => {
        const template = secretTemplate(names(record), algorithm, attributes.usages);
        if (!(await supported(() => session.generateKey(template)))) {
          throw cannot(`make a key of ${algorithm}`);
        }
      },
    );
  }

  async #importKey(id: KeyId, made: NewImport, signal: AbortSignal): Promise<void> {
    const { material, attributes } = made;
    const { algorithm } = material;
    const record = newRecord(id, attributes, {
      origin: 'imported',
      algorithm: isSymmetricAlgorithm(algorithm) ? algorithm : undefined,
    });
    const pending = await this.#replaceable(id, signal);
    await this.#journal.add({ ...record, pending }, signal, async (session) => {
      const templates = importTemplates(names(record), material, attributes.usages);
      try {
        const put = async () => {
          if (templates.publicKey !== undefined) session.create(templates.publicKey);
          session.create(templates.key);
        };
        if (!(await supported(put))) throw cannot(`import a key of ${algorithm}`);
      } finally {
        wipe(templates.key);
      }
    });
  }

  async #deleteKey(id: KeyId, signal: AbortSignal): Promise<void> {
    await this.#journal.settleAll(signal);
    refuseUnusable(this.#metadata.records.damage(id));
    await this.#token.use(
      () => `cannot delete key "${id}"`,
      (session) => this.#read(session, id, (found) => this.#destroy(session, id, found)),
      signal,
    );
    await this.#metadata.records.delete(id);
  }

  #destroy(session: Session, id: KeyId, { key, objects }: Labelled): void {
    if (objects.length === 0) this.#token.confirmAbsence(session);
    if (objects.length === 0 && this.#metadata.records.damage(id) !== undefined) return;
    if (key?.object === undefined) {
      const why = objects.length === 0 ? '' : ' of its own: see Describe';
      throw new ServiceError('NotFound', `no key "${id}"${why}`);
    }
    for (const handle of findAll(session, key.object)) session.destroy(handle);
  }

  async #read<R>(session: Session, id: KeyId, use: (found: Labelled) => R): Promise<R> {
    const from = { session, token: this.#token };
    return this.#reader.read(from, (context) => lookUp(session, id, context), use);
  }

  /** The intent of a key for which there is nothing in the token yet. */
  async #nothing(id: KeyId, signal: AbortSignal): Promise<NonNullable<TokenKeyRecord['pending']>> {
    const { objects } = await this.#look(id, signal);
    if (objects.length > 0) {
      throw new ServiceError('AlreadyExists', `the token holds a key of the label "${id}"`);
    }
    return { replaces: undefined, previous: undefined };
  }

  async #replaceable(
    id: KeyId,
    signal: AbortSignal,
  ): Promise<NonNullable<TokenKeyRecord['pending']>> {
    const { key, objects, reason } = await this.#look(id, signal);
    if (objects.length > 0 && key?.info.state !== 'ok') {
      const message = `the token holds a key of the label "${id}": ${reason ?? key?.info.reason}`;
      throw new ServiceError('AlreadyExists', message);
    }
    return {
      replaces: key?.object?.ckaId.toString('hex'),
      previous: this.#metadata.records.get(id),
    };
  }

  async #look(id: KeyId, signal: AbortSignal): Promise<ReturnType<typeof lookUp>> {
    await this.#journal.settleAll(signal);
    const damage = this.#metadata.records.damage(id);
    refuseUnusable(damage);
    if (damage !== undefined) {
      throw new ServiceError('AlreadyExists', `key "${id}": ${damage.message}`);
    }
    return this.#token.use(
      () => `cannot look for key "${id}"`,
      (session) =>
        this.#read(session, id, (found) => {
          if (found.objects.length === 0) this.#token.confirmAbsence(session);
          return found;
        }),
      signal,
    );
  }
}

function newRecord(
  id: KeyId,
  { usages, exportDerived }: KeyAttributes,
  kind: Pick<TokenKeyRecord, 'origin'> & { readonly algorithm?: SymmetricAlgorithm | undefined },
): TokenKeyRecord {
  return {
    id,
    ckaId: newCkaId(usages).toString('hex'),
    algorithm: kind.algorithm,
    usages,
    origin: kind.origin,
    exportDerived,
    created: new Date(),
    pending: undefined,
  };
}

function names({ id, ckaId }: TokenKeyRecord): Names {
  return { id, ckaId: Buffer.from(ckaId, 'hex') };
}

/** False when the token says that it cannot do this at all. */
async function supported(make: () => Promise<void>): Promise<boolean> {
  try {
    await make();
    return true;
  } catch (error) {
    if (isNotSupported(error)) return false;
    throw error;
  }
}

function cannot(what: string): ServiceError {
  return new ServiceError('NotSupported', `the token cannot ${what}`);
}
