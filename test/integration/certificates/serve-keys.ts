import { type KeyObject, sign } from 'node:crypto';
import type { Bus } from '../../../src/dbus/bus.ts';
import { Callers } from '../../../src/dbus/caller.ts';
import type { Handlers } from '../../../src/dbus/definition.ts';
import { type CallContext, serve } from '../../../src/dbus/serve.ts';
import { ServiceError } from '../../../src/errors.ts';
import { isId } from '../../../src/ids.ts';
import { type keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { keyDigest, spkiOf } from '../../../src/x509/algorithm.ts';

type KeysHandlers = Omit<Handlers<typeof keysInterface, CallContext>, 'Describe'>;

function unused(): never {
  throw new ServiceError('NotSupported', 'not needed by these tests');
}

/** Serves the part of Keys1 that issuing needs, over keys of the test that no store has to hold. */
export async function serveKeys(bus: Bus, keys: ReadonlyMap<string, KeyObject>): Promise<void> {
  const find = (id: string): KeyObject => {
    const key = keys.get(id);
    if (key === undefined) throw new ServiceError('NotFound', `no key ${id}`);
    return key;
  };
  const handlers: KeysHandlers = {
    CreateKeyPair: unused,
    CreateKey: unused,
    ImportKey: unused,
    DeleteKey: unused,
    Verify: unused,
    Encrypt: unused,
    Decrypt: unused,
    ExportKey: unused,
    GetRandom: unused,
    GetPublicKey: ({ key_id }) => ({ spki: spkiOf(find(key_id)) }),
    Sign({ key_id, mechanism, data, options }) {
      const key = find(key_id);
      if (options.public_key?.equals(keyDigest(spkiOf(key))) === false) {
        throw new ServiceError('NotFound', `the key ${key_id} was replaced`);
      }
      if (mechanism !== 'ecdsa-sha256') throw new ServiceError('InvalidArgs', 'not its mechanism');
      return { signature: sign('sha256', data, key) };
    },
  };
  const server = serve(bus, keysService, {
    handlers,
    resolvers: {},
    properties: { Version: '1', Health: 'ok', LastError: '' },
    authorizer: { authorize: () => undefined },
    callers: await Callers.start(bus),
    names: {
      'key-id': isId,
      'certificate-id': isId,
      'module-id': isId,
      'module-name': isId,
    },
    logControl: { level: 'info', target: 'console', syslogIdentifier: 'keys' },
    observer: { decided: () => undefined, failed: () => undefined },
  });
  for (const id of keys.keys()) {
    server.putObject(id, {
      KeyId: id,
      Kind: 'pair',
      Algorithm: 'ec-p256',
      Usages: ['sign'],
      Store: 'file',
      Origin: 'generated',
      Exportable: false,
      State: 'ok',
      Created: 0n,
    });
  }
  server.goLive();
  await bus.requestName(keysService.busName);
}
