import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeBase64, maxBodyBytes } from '../../../../src/certificates/est/answer-body.ts';
import { boundedWork } from '../../../support/deadline.ts';

const test = suite('bodies of EST answers');

test('are base64 in lines of any length, with NULs at the end', () => {
  for (const text of ['MAA=', 'MA\r\nA=\n', 'MAA=\0', 'MAA=\n\0\0\r\n'])
    assert.equal(decodeBase64(Buffer.from(text), 'it'), Buffer.from('3000', 'hex'));
  for (const text of ['MAA', 'MA\0A=', '\0MAA='])
    assert.throws(() => decodeBase64(Buffer.from(text), 'it'), /it is not base64/);
});

test('are refused at once when they are nothing but NULs before their end', () => {
  const body = Buffer.alloc(maxBodyBytes);
  body.write('x', body.length - 1);
  assert.throws(() => boundedWork(() => decodeBase64(body, 'it')), /it is not base64/);
});

test.run();
