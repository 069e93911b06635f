import type { Cancellation } from '../../cancellation.ts';
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
import { ckrName, isNotSupported } from './library/ckr.ts';
import type { Token } from './library/token.ts';
import type { TokenSessions } from './library/token-sessions.ts';
import type { PairTemplate } from './protocol/operations.ts';
import { findAll } from './reading/objects.ts';
import type { TokenReader } from './reading/token-reader.ts';
import { type ObjectView, readObjects } from './reading/token-view.ts';
import type { Pending, TokenKeyRecord } from './records.ts';
import {
  importTemplates,
  leanPairTemplate,
  type Names,
  newCkaId,
  pairTemplate,
  secretTemplate,
  wipe,
} from './templates.ts';
import { TokenJournal } from './token-journal.ts';
import { type KeyMetadata, type Labelled, lookUp, type ReadContext } from './token-keys.ts';

/** A record before its key is added. */
type NewRecord = Omit<TokenKeyRecord, 'created' | 'pending'>;

/** Creates and deletes keys in one token. */
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

  /** Creates a pair of the first algorithm that the token supports. */
  async createPair(
    id: KeyId,
    algorithms: readonly PairAlgorithm[],
    attributes: KeyAttributes,
    signal: Cancellation,
  ): Promise<void> {
    const { usages } = attributes;
    const record = newRecord(id, attributes, { origin: 'generated' });
    const create = async (sessions: TokenSessions) => {
      for (const algorithm of algorithms) {
        if (!usages.every((usage) => canHave(algorithm, usage))) continue;
        const template = pairTemplate(names(record), algorithm, usages);
        if (await generatePair(sessions, record, template)) return;
      }
      throw cannot(`make a key pair of ${algorithms.join(', ')} for ${usages.join(', ')}`);
    };
    await this.#add(record, create, signal);
  }

  /** Creates a symmetric key. */
  async createSymmetric(
    id: KeyId,
    algorithm: SymmetricAlgorithm,
    attributes: KeyAttributes,
    signal: Cancellation,
  ): Promise<void> {
    const record = newRecord(id, attributes, { origin: 'generated', algorithm });
    const create = async (sessions: TokenSessions) => {
      const template = secretTemplate(names(record), algorithm, attributes.usages);
      if (!(await isSupported(() => sessions.generateKey(template)))) {
        throw cannot(`make a key of ${algorithm}`);
      }
    };
    await this.#add(record, create, signal);
  }

  /** Imports material, replacing the key that has the id. */
  async importKey(
    id: KeyId,
    material: Material,
    attributes: KeyAttributes,
    signal: Cancellation,
  ): Promise<void> {
    const { algorithm } = material;
    const symmetric = isSymmetricAlgorithm(algorithm) ? algorithm : undefined;
    const record = newRecord(id, attributes, { origin: 'imported', algorithm: symmetric });
    const create = async (sessions: TokenSessions) => {
      const templates = importTemplates(names(record), material, attributes.usages);
      try {
        const put = async () => {
          if (templates.publicKey !== undefined) await sessions.create(templates.publicKey);
          await sessions.create(templates.key);
        };
        if (!(await isSupported(put))) throw cannot(`import a key of ${algorithm}`);
      } finally {
        wipe(templates.key);
      }
    };
    await this.#add(record, create, signal);
  }

  /** Deletes the objects of a key, then its record. NotFound when there are none. */
  async deleteKey(id: KeyId, signal: Cancellation): Promise<void> {
    await this.#changes.run(() => this.#deleteKey(id, signal));
  }

  /** Completes or rolls back the changes that an earlier process left pending; does nothing while a change runs. */
  async settle(signal: Cancellation): Promise<void> {
    if (this.#changes.isHeld) return;
    await this.#changes.run(() => this.#journal.settleAll(signal));
  }

  /** Adds a key; only an imported one may replace another. */
  async #add(
    record: NewRecord,
    create: (sessions: TokenSessions) => Promise<void>,
    signal: Cancellation,
  ): Promise<void> {
    await this.#changes.run(async () => {
      const created = new Date();
      const pending =
        record.origin === 'imported'
          ? await this.#replaced(record.id, signal)
          : await this.#nothing(record.id, signal);
      await this.#journal.add({ ...record, created, pending }, create, signal);
    });
  }

  async #deleteKey(id: KeyId, signal: Cancellation): Promise<void> {
    await this.#journal.settleAll(signal);
    refuseUnusable(this.#metadata.records.damage(id));
    await this.#token.use(
      () => `cannot delete key "${id}"`,
      (sessions) => this.#destroy(sessions, id, signal),
    );
    await this.#metadata.records.delete(id);
  }

  async #destroy(sessions: TokenSessions, id: KeyId, signal: Cancellation): Promise<void> {
    const { key, objects } = await this.#read(sessions, id, signal);
    if (objects.length === 0 && this.#metadata.records.damage(id) !== undefined) return;
    const { object } = key ?? {};
    if (object === undefined) {
      const why = objects.length === 0 ? '' : ' of its own: see Describe';
      throw new ServiceError('NotFound', `no key "${id}"${why}`);
    }
    await sessions.destroy(await readObjects(sessions, (view) => findAll(view, object), signal));
  }

  /** Reads the objects with a label; none only when that is certain. */
  async #read(sessions: TokenSessions, id: KeyId, signal: Cancellation): Promise<Labelled> {
    const find = (view: ObjectView, context: ReadContext) => lookUp(view, id, context);
    const from = { sessions, token: this.#token };
    const { found } = await this.#reader.read(from, find, signal);
    if (found.objects.length === 0) await this.#token.confirmAbsence();
    return found;
  }

  /** Nothing to replace; AlreadyExists when the token holds objects with the label. */
  async #nothing(id: KeyId, signal: Cancellation): Promise<Pending> {
    const { objects } = await this.#find(id, signal);
    if (objects.length > 0) {
      throw new ServiceError('AlreadyExists', `the token holds a key of the label "${id}"`);
    }
    return { replaces: undefined, previous: undefined };
  }

  /** The key to replace, if there is one; AlreadyExists when it may not be replaced. */
  async #replaced(id: KeyId, signal: Cancellation): Promise<Pending> {
    const { key, objects, reason } = await this.#find(id, signal);
    if (objects.length > 0 && key?.info.state !== 'ok') {
      const message = `the token holds a key of the label "${id}": ${reason ?? key?.info.reason}`;
      throw new ServiceError('AlreadyExists', message);
    }
    return {
      replaces: key?.object?.ckaId.toString('hex'),
      previous: this.#metadata.records.get(id),
    };
  }

  async #find(id: KeyId, signal: Cancellation): Promise<Labelled> {
    await this.#journal.settleAll(signal);
    const damage = this.#metadata.records.damage(id);
    refuseUnusable(damage);
    if (damage !== undefined) {
      throw new ServiceError('AlreadyExists', `key "${id}": ${damage.message}`);
    }
    return this.#token.use(
      () => `cannot look for key "${id}"`,
      (sessions) => this.#read(sessions, id, signal),
    );
  }
}

function newRecord(
  id: KeyId,
  { usages, exportDerived }: KeyAttributes,
  { origin, algorithm }: Pick<NewRecord, 'origin'> & Partial<Pick<NewRecord, 'algorithm'>>,
): NewRecord {
  const ckaId = newCkaId(usages).toString('hex');
  return { id, ckaId, algorithm, usages, origin, exportDerived };
}

function names({ id, ckaId }: Pick<NewRecord, 'id' | 'ckaId'>): Names {
  return { id, ckaId: Buffer.from(ckaId, 'hex') };
}

/** Generates a pair; false when the token does not support that. */
async function generatePair(
  sessions: TokenSessions,
  record: NewRecord,
  template: PairTemplate,
): Promise<boolean> {
  try {
    if (await isSupported(() => sessions.generatePair(template))) return true;
  } catch (error) {
    const { id: label, ckaId } = names(record);
    const isUnclear = ckrName(error) === 'CKR_GENERAL_ERROR';
    if (!isUnclear) throw error;
    const made = await readObjects(sessions, (view) => findAll(view, { label, ckaId }));
    if (made.length > 0) throw error;
  }
  return isSupported(() => sessions.generatePair(leanPairTemplate(template)));
}

/** Runs a call to the token; false when the token reports that it does not support it. */
async function isSupported(call: () => Promise<void>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (isNotSupported(error)) return false;
    throw error;
  }
}

function cannot(what: string): ServiceError {
  return new ServiceError('NotSupported', `the token cannot ${what}`);
}
