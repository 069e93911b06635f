import * as assert from 'uvu/assert';
import type { MethodDefinition } from '../../../src/dbus/definition.ts';
import type { Rig } from '../rig/rig.ts';
import { type ServiceName, services } from '../rig/rig-services.ts';

/** Checks that every user sees a manager's properties and its methods with named arguments; returns the output of busctl. */
export async function introspected(rig: Rig, service: ServiceName): Promise<string> {
  const { busName, path, manager } = services[service];
  const xml = (await rig.busctl(['--xml-interface', 'introspect', busName, path], 'alice')).stdout;
  const table = (await rig.busctl(['introspect', busName, path], 'alice')).stdout;
  assert.not.match(xml, 'DocString', 'the reply stays small');
  const [, ours = ''] = xml.split(`<interface name="${manager.name}">`);
  const methods: Readonly<Record<string, MethodDefinition>> = manager.methods ?? {};
  for (const [member, { in: fields = {}, out = {} }] of Object.entries(methods)) {
    const [, text = ''] = ours.split(`<method name="${member}">`);
    const [args = ''] = text.split('</method>');
    for (const name of [...Object.keys({ ...fields, ...out }), 'options']) {
      assert.match(args, `name="${name}"`, member);
    }
    assert.match(table, new RegExp(`^\\.${member} +method `, 'm'));
  }
  for (const name of Object.keys(manager.properties ?? {})) {
    assert.match(ours, `<property name="${name}"`);
    assert.match(table, new RegExp(`^\\.${name} +property `, 'm'));
  }
  return table;
}
