import { mock } from 'node:test';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EstSettings } from '../../../../src/certificates/config/est-settings.ts';
import {
  type PreparedOrder,
  PreparedOrders,
} from '../../../../src/certificates/est/prepared-orders.ts';
import { parseCertificateId } from '../../../../src/ids.ts';

const test = suite('orders that are prepared');
const order = { id: parseCertificateId('site/one'), renewed: undefined };
const settings = { url: 'https://est.example' } as unknown as EstSettings;
const prepared = { demands: [] } as unknown as PreparedOrder;

test('are for one attempt with the same settings', () => {
  const orders = new PreparedOrders();
  orders.put(order, settings, prepared);
  assert.is(orders.take(order, settings), prepared);
  assert.is(orders.take(order, settings), undefined);
  orders.put(order, settings, prepared);
  assert.is(orders.take(order, { ...settings, username: 'other' }), undefined);
  assert.is(orders.take(order, settings), undefined);
});

test('are dropped a minute after they were prepared last', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const orders = new PreparedOrders();
    orders.put(order, settings, prepared);
    mock.timers.tick(59_999);
    orders.put(order, settings, prepared);
    mock.timers.tick(59_999);
    assert.is(orders.take(order, settings), prepared);
    orders.put(order, settings, prepared);
    mock.timers.tick(60_000);
    assert.is(orders.take(order, settings), undefined);
  } finally {
    mock.timers.reset();
  }
});

test.run();
