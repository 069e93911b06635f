import type { Bus } from '../../../src/dbus/bus.ts';
import { type Caller, Callers } from '../../../src/dbus/server/caller.ts';
import { SystemAccounts } from '../../../src/service/accounts.ts';
import { AclBackend } from '../../../src/service/authorization/acl-backend.ts';
import { PolkitBackend } from '../../../src/service/authorization/polkit-backend.ts';
import { BusPolkitClient } from '../../../src/service/authorization/polkit-client.ts';
import { Authorization, RuleSet } from '../../../src/service/authorization/rules.ts';
import { Cleanup } from '../../../src/service/cleanup.ts';
import { connectAs } from '../../support/clients/connect-as.ts';
import type { Identity } from '../../support/identity/identity.ts';
import {
  type AuthorizationRig,
  authorizationContract,
  contractRules,
} from '../../support/polkit/authorization-contract.ts';
import { PrivatePolkit } from '../../support/polkit/polkit.ts';
import { polkitRules } from '../../support/polkit/polkit-rules.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';

const noGrants = new RuleSet();

async function rigOf(
  makeBackend: (bus: Bus, address: string, cleanup: Cleanup) => Promise<AclBackend | PolkitBackend>,
): Promise<AuthorizationRig> {
  const cleanup = new Cleanup();
  const privateBus = cleanup.use(await PrivateBus.start());
  const bus = cleanup.use(await privateBus.connect());
  const callers = await Callers.start(bus);
  const backend = await makeBackend(bus, privateBus.address, cleanup);
  return {
    authorizer: new Authorization(noGrants, backend, 0),
    async caller(identity: Identity): Promise<Caller> {
      const client = cleanup.use(await connectAs(privateBus.address, identity));
      return callers.get(client.uniqueName);
    },
    [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
  };
}

authorizationContract('polkit', () =>
  rigOf(async (bus, address, cleanup) => {
    cleanup.use(await PrivatePolkit.start(bus, address, polkitRules(contractRules)));
    const lifetimes = { yesMs: 10_000, noMs: 1000 };
    return new PolkitBackend({ client: new BusPolkitClient(bus), lifetimes });
  }),
);

authorizationContract('rules', () =>
  rigOf(async () => {
    const accounts = new SystemAccounts({ getent: true });
    return new AclBackend(await RuleSet.fromAcl(contractRules, accounts));
  }),
);
