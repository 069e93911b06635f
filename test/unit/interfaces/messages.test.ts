/** The messages of polkit's actions: what a person reads before typing a password. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ServiceDefinition } from '../../../src/dbus/definition.ts';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { authorizedCalls } from '../../support/authorized/calls.ts';

const test = suite('messages of polkit actions');

const services: readonly ServiceDefinition[] = [
  keysService,
  certificatesService,
  identityService,
  modulesService,
];
const actions = services.flatMap((service) => Object.entries(service.actions));

for (const [id, { message }] of actions) {
  test(`of ${id} say what is about to happen, and quote what a request for it has`, () => {
    assert.match(message, /^Authentication is required to [a-z].*[^.]$/);
    // abbreviations and words of the D-Bus API mean nothing in a dialog
    assert.not.match(message, /\b(SAS|CA|provision|PKCS|D-Bus|derivation|mechanism)\b/i);
    const quoted = [...message.matchAll(/"\$\((\w+)\)"/g)].map(([, name = '']) => name);
    assert.is(quoted.length, message.split('$(').length - 1);
    const requests = authorizedCalls.flatMap((call) =>
      call.requests.filter(({ action }) => action === id),
    );
    assert.ok(requests.length > 0);
    for (const { details } of requests) {
      for (const name of quoted) assert.ok(Object.hasOwn(details, name), name);
    }
  });
}

test.run();
