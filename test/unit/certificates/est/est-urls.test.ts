import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { urlOf } from '../../../../src/certificates/est/est-urls.ts';

const test = suite('EST URLs');

for (const [url, label, expected] of [
  ['https://est.example', undefined, 'https://est.example/.well-known/est/cacerts'],
  ['https://est.example:8443', 'edge', 'https://est.example:8443/.well-known/est/edge/cacerts'],
  ['https://est.example/pki/est', undefined, 'https://est.example/pki/est/cacerts'],
  ['https://est.example/pki/est/', 'edge', 'https://est.example/pki/est/edge/cacerts'],
] as const) {
  test(`are made of ${url} and the label ${label ?? '(none)'}`, () => {
    assert.is(urlOf({ url, label }, 'cacerts'), expected);
  });
}

test.run();
