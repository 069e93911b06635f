/**
 * The workload API for one module, served on a socket that only this module can access: each client is the module, and
 * a path of another one is refused.
 */
import { ServiceError } from '../../../errors.ts';
import {
  type ModuleId,
  type ModuleName,
  moduleIdOf,
  moduleNameOf,
  parseModuleId,
} from '../../../ids.ts';
import { HttpProblem } from '../http/failure.ts';
import type { HeldCall } from '../http/hold.ts';
import type { ApiReply, ApiRequest, Route, RouteBody } from '../http/route.ts';
import { parseRfc3339 } from '../rfc3339.ts';
import { base64Bytes, joinSecret, jsonOfPem } from './secret-buffer.ts';

// the maximum input and output of the Keys service
const maxInput = 1 << 20;
const maxCiphertext = maxInput + 29;
const maxVector = 1 << 10;
/** Base64 of the longest input, and the rest of the body. */
const maxBodyBytes = 2 << 20;

/** The members of the requests that encrypt and decrypt. */
const sealed = {
  plaintext: ['plaintext', 'initializationVector'],
  ciphertext: ['ciphertext', 'initializationVector'],
} as const;

/** The part of a module's identity that the API uses. */
export interface WorkloadIdentity {
  readonly moduleId: ModuleId;
  readonly generationId: string;
}

/** A module's request for a certificate. */
export interface CertificateRequest {
  readonly purpose: 'server' | 'identity';
  readonly commonName: string;
  /** The latest end of validity. */
  readonly notAfter: Date | undefined;
}

/** A certificate with the key that was generated for it. The key is stored nowhere else. */
export interface IssuedCertificate {
  readonly chainPem: string;
  readonly notAfter: Date;
  /** PKCS#8 as PEM; the caller wipes it. */
  readonly privateKeyPem: Buffer;
}

/** Source of the responses. */
export interface WorkloadBackend {
  identity(module: ModuleId, call: HeldCall): Promise<WorkloadIdentity>;
  /** The list of all modules as JSON; callers must not modify it. */
  modules(call: HeldCall): Promise<Buffer>;
  trustBundle(call: HeldCall): Promise<string>;
  manifestTrustBundle(call: HeldCall): Promise<string>;
  /** HMAC-SHA256 by the module's primary key. */
  sign(module: ModuleId, data: Buffer, call: HeldCall): Promise<Buffer>;
  encrypt(plaintext: Buffer, aad: Buffer, call: HeldCall): Promise<Buffer>;
  decrypt(ciphertext: Buffer, aad: Buffer, call: HeldCall): Promise<Buffer>;
  /** AccessDenied when the module may not have that name. */
  certificate(
    module: ModuleName,
    request: CertificateRequest,
    call: HeldCall,
  ): Promise<IssuedCertificate>;
}

/** The routes of one module's socket. */
export function workloadRoutes(module: ModuleName, backend: WorkloadBackend): readonly Route[] {
  const own = moduleIdOf(module);
  const parts = { own, backend };
  return [
    {
      method: 'GET',
      path: '/modules',
      trailingSlash: true,
      respond: async (request) => ({ status: 200, jsonBytes: await backend.modules(request) }),
    },
    bundleRoute('/trust-bundle', (call) => backend.trustBundle(call)),
    bundleRoute('/manifest-trust-bundle', (call) => backend.manifestTrustBundle(call)),
    generationRoute('sign', ['data'], parts, async (request) => {
      const { data } = texts(request.body, ['data']);
      checkAlgorithm(memberOf(request.body, 'algo'));
      const digest = await backend.sign(own, base64(data, 'data', maxInput), request);
      return { status: 200, json: { digest: digest.toString('base64') } };
    }),
    generationRoute('encrypt', sealed.plaintext, parts, async (request, identity) => {
      const body = texts(request.body, sealed.plaintext);
      const plaintext = base64(body.plaintext, 'plaintext', maxInput);
      const output = await backend.encrypt(plaintext, aadOf(identity, body), request);
      plaintext.fill(0);
      return { status: 200, json: { ciphertext: output.toString('base64') } };
    }),
    generationRoute('decrypt', sealed.ciphertext, parts, async (request, identity) => {
      const body = texts(request.body, sealed.ciphertext);
      const ciphertext = base64(body.ciphertext, 'ciphertext', maxCiphertext);
      const output = await backend.decrypt(ciphertext, aadOf(identity, body), request);
      const plaintext = base64Bytes(output);
      output.fill(0);
      return { status: 200, secretJson: joinSecret(['{"plaintext":"', plaintext, '"}']) };
    }),
    generationRoute('certificate/server', ['commonName'], parts, async (request) => {
      const { commonName } = texts(request.body, ['commonName']);
      const certificateRequest = {
        purpose: 'server',
        commonName,
        notAfter: expiration(request.body),
      } as const;
      return certificateReply(await backend.certificate(module, certificateRequest, request));
    }),
    {
      method: 'POST',
      path: '/modules/:module/certificate/identity',
      lane: 'certificates',
      body: { check: checkObject, isOptional: true },
      admit: (params) => requireOwn(params['module'], own),
      respond: async (request) => {
        const certificateRequest = {
          purpose: 'identity',
          commonName: own,
          notAfter: expiration(request.body),
        } as const;
        return certificateReply(await backend.certificate(module, certificateRequest, request));
      },
    },
  ];
}

function bundleRoute(path: string, read: (call: HeldCall) => Promise<string>): Route {
  return {
    method: 'GET',
    path,
    respond: async (request) => ({ status: 200, json: { certificate: await read(request) } }),
  };
}

/** A route below `/modules/{module}/genid/{generation}`, for the module as it is registered now. */
function generationRoute(
  path: string,
  members: readonly string[],
  { own, backend }: { readonly own: ModuleId; readonly backend: WorkloadBackend },
  respond: (request: ApiRequest, identity: WorkloadIdentity) => Promise<ApiReply>,
): Route {
  const check: RouteBody['check'] = (body) => void texts(body, members);
  return {
    method: 'POST',
    path: `/modules/:module/genid/:generation/${path}`,
    lane: path === 'certificate/server' ? 'certificates' : 'keys',
    body: { check, maxBytes: maxBodyBytes },
    admit: (params) => requireOwn(params['module'], own),
    respond: async (request) => {
      const identity = await backend.identity(own, request);
      if (request.params['generation'] !== identity.generationId) {
        throw new ServiceError('AccessDenied', `module "${own}" is of another generation`);
      }
      return respond(request, identity);
    },
  };
}

/** Refuses another module; the module's name and its cloud id are equivalent. */
function requireOwn(named: string | undefined, own: ModuleId): void {
  if (moduleIdOf(moduleNameOf(parseModuleId(named ?? ''))) !== own) {
    throw new ServiceError('AccessDenied', `this socket is for module "${own}" alone`);
  }
}

function certificateReply({ chainPem, notAfter, privateKeyPem }: IssuedCertificate): ApiReply {
  const rest = JSON.stringify({ certificate: chainPem, expiration: notAfter.toISOString() });
  const key = jsonOfPem(privateKeyPem);
  return {
    status: 201,
    secretJson: joinSecret(['{"privateKey":{"type":"key","bytes":"', key, `"},${rest.slice(1)}`]),
  };
}

function checkObject(body: unknown): void {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return;
  throw new HttpProblem(422, 'the body is not an object');
}

function texts<const K extends string>(body: unknown, keys: readonly K[]): Record<K, string> {
  const found = keys.map((key) => [key, memberOf(body, key)] as const);
  for (const [key, value] of found) {
    if (typeof value !== 'string') throw new HttpProblem(422, `the body has no text "${key}"`);
  }
  return Object.fromEntries(found) as Record<K, string>; // checked one by one above
}

/** An own property of an object, found without iterating: a body may have a hundred thousand. */
function memberOf(body: unknown, key: string): unknown {
  if (typeof body !== 'object' || body === null) return undefined;
  return Object.getOwnPropertyDescriptor(body, key)?.value;
}

/** There is one key with one algorithm, which a client may omit. */
function checkAlgorithm(algo: unknown): void {
  if (algo === undefined || algo === null) return;
  if (typeof algo === 'string' && algo.toUpperCase() === 'HMACSHA256') return;
  throw new ServiceError('InvalidArgs', 'algo is not "HMACSHA256"');
}

function expiration(body: unknown): Date | undefined {
  const text = memberOf(body, 'expiration');
  if (text === undefined || text === null) return undefined;
  const time = typeof text === 'string' ? parseRfc3339(text) : undefined;
  if (time === undefined) {
    const form = 'expiration is not a time of RFC 3339 such as 2031-01-02T03:04:05Z';
    throw new ServiceError('InvalidArgs', form);
  }
  return time;
}

function base64(text: string, name: string, longest: number): Buffer {
  // 413 before the text is parsed, which may be far longer
  if (text.length > Math.ceil(longest / 3) * 4) throw tooLong(name, longest);
  const bytes = Buffer.from(text, 'base64');
  const canonical = /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0;
  if (!canonical) throw new ServiceError('InvalidArgs', `${name} is not base64`);
  if (bytes.length > longest) throw tooLong(name, longest);
  return bytes;
}

function tooLong(name: string, longest: number): HttpProblem {
  return new HttpProblem(413, `${name} is longer than ${longest} bytes`);
}

/** The associated data that binds a ciphertext to its module; length prefixes make it unambiguous. */
function aadOf(
  identity: WorkloadIdentity,
  body: { readonly initializationVector: string },
): Buffer {
  const vector = base64(body.initializationVector, 'initializationVector', maxVector);
  const parts = [Buffer.from(identity.moduleId), Buffer.from(identity.generationId), vector];
  return Buffer.concat(parts.flatMap((part) => [lengthOf(part), part]));
}

function lengthOf(part: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(part.length);
  return length;
}
