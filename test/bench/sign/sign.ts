import { client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { Rig } from '../../support/rig/rig.ts';
import { type ServiceName, services } from '../../support/rig/rig-services.ts';
import { identityOf, type RigUser } from '../../support/rig/rig-users.ts';
import type { Client } from '../client.ts';
import { type ServerPace, several } from '../pace.ts';
import { startedProcess } from '../started-process.ts';
import { type SigningKey, signingKeys } from './keys.ts';

/** More calls than the warm-up of the echo. */
const warmUpRounds = 3;

/** Variations of a measurement, by default of 8 calls in flight by root with the P-256 key of the token. */
export interface SignOptions {
  readonly key?: SigningKey;
  readonly inFlight?: number;
  readonly user?: RigUser;
}

/** Sign of the Keys service, on a bus with polkit and a token. */
export class SignBench implements AsyncDisposable {
  readonly rig: Rig;
  readonly #client: Client;

  private constructor(rig: Rig, client: Client) {
    this.rig = rig;
    this.#client = client;
  }

  static async start(client: Client): Promise<SignBench> {
    return new SignBench(await Rig.start({ token: { deviceCa: 'rsa:2048' } }), client);
  }

  /** Creates the keys that are not in the configuration. */
  async createKeys(): Promise<void> {
    await using bus = await this.rig.connect();
    const keys = client(bus, keysService, keysInterface);
    const mac = { algorithm: 'hmac-sha256', usages: ['sign'] };
    await keys.CreateKey({ ...mac, key_id: signingKeys.HMAC.id, options: { store: 'pkcs11' } });
    const { id } = signingKeys['HMAC in a file'];
    await keys.CreateKey({ ...mac, key_id: id, options: { store: 'file' } });
  }

  /** Stops the services, so that they start with the build of a checkout. */
  async use(checkout: string): Promise<void> {
    for (const name of Object.keys(services) as ServiceName[]) await this.rig.stop(name);
    // threads of a process that has ended may still hold its files
    const mount = 'umount --lazy "$1" && mount --bind "$2" "$1"';
    const words = ['-c', mount, 'sh', `${this.rig.directory}/checkout`, checkout];
    const { code, stderr } = await this.rig.run('sh', words);
    if (code !== 0) throw new Error(`"${checkout}" is not mounted: ${stderr}`);
  }

  /** Signs until V8 has compiled the service. */
  async warmUp(): Promise<void> {
    for (let round = 0; round < warmUpRounds; round++) {
      await this.pace();
      await this.pace({ user: 'operator' });
    }
  }

  /**
   * One round of the service. Root needs no authorization; for a user polkit is called once per round, which is a new
   * connection, and its decision is cached for the following calls.
   */
  async pace(options: SignOptions = {}): Promise<ServerPace> {
    const { key = signingKeys['P-256'], inFlight = several, user } = options;
    const pid = await startedProcess(this.rig, 'keys');
    const name = 'org.iotedge.Keys1';
    const place = { address: this.rig.address, name, path: '/org/iotedge/Keys1', interface: name };
    const identity = user === undefined ? undefined : identityOf(user);
    return this.#client.pace(place, pid, { count: key.count, inFlight, key, identity });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig[Symbol.asyncDispose]();
  }
}
