import { fileURLToPath } from 'node:url';
import { softhsmLibrary, tokenPin } from '../support/keys/softhsm.ts';
import { Rig } from '../support/rig/rig.ts';
import { type ServiceName, services } from '../support/rig/rig-services.ts';
import { identityOf, type RigUser } from '../support/rig/rig-users.ts';
import { type Client, inFlight, type Pace } from './client.ts';
import { startedProcess } from './started-process.ts';

const signaturesPerRound = 4000;
/** More calls than the warm-up of the echo. */
const warmUpRounds = 3;
const script = fileURLToPath(new URL('token.js', import.meta.url));

/** Sign with an EC key of the token, by the Keys service and by the token alone. */
export class SignBench implements AsyncDisposable {
  readonly rig: Rig;
  readonly #client: Client;

  private constructor(rig: Rig, client: Client) {
    this.rig = rig;
    this.#client = client;
  }

  static async start(client: Client): Promise<SignBench> {
    return new SignBench(await Rig.start(), client);
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
      await this.ours();
      await this.ours('operator');
    }
  }

  /**
   * One round of the service. Root needs no authorization; for a user polkit is called once per round, which is a new
   * connection, and its decision is cached for the following calls.
   */
  async ours(user?: RigUser): Promise<Pace> {
    const pid = await startedProcess(this.rig, 'keys');
    const name = 'org.iotedge.Keys1';
    const place = { address: this.rig.address, name, path: '/org/iotedge/Keys1', interface: name };
    const identity = user === undefined ? undefined : identityOf(user);
    const call = { method: 'sign', key: 'device-id', count: signaturesPerRound } as const;
    return this.#client.pace(place, { ...call, pid, identity });
  }

  /** One round of the token alone, through the session pool of the service. */
  async token(): Promise<Pace> {
    const words = [
      softhsmLibrary(),
      tokenPin,
      'device id',
      String(signaturesPerRound),
      String(inFlight),
    ];
    const environment = { SOFTHSM2_CONF: this.rig.token.configuration };
    const { stdout } = await this.rig.run(process.execPath, [script, ...words], { environment });
    return JSON.parse(stdout) as Pace; // printed by the script
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig[Symbol.asyncDispose]();
  }
}
