import { parseModuleId } from '../../../ids.ts';
import { HttpProblem } from '../http/failure.ts';
import type { Route } from '../http/route.ts';
import type { HubIdentities, ManagedIdentity } from './hub-identities.ts';

const lane = 'identities';

/** The routes of module identities, and of the provisioning of the device. */
export function identityRoutes(identities: HubIdentities): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/identities',
      trailingSlash: true,
      lane,
      respond: async (request) => {
        const list = await identities.list(request);
        return { status: 200, json: { identities: list.map(identityJson) } };
      },
    },
    {
      method: 'POST',
      path: '/identities',
      trailingSlash: true,
      lane,
      body: { check: (body) => void creationOf(body) },
      respond: async (request) => {
        const { moduleId, managedBy } = creationOf(request.body);
        const created = await identities.create(parseModuleId(moduleId), request);
        // clients compare it with what they sent
        return { status: 200, json: identityJson({ ...created, ...managedBy }) };
      },
    },
    {
      method: 'PUT',
      path: '/identities/:module',
      lane,
      body: { check: (body) => void generationOf(body) },
      respond: async (request) => {
        const id = parseModuleId(request.params['module'] ?? '');
        const generationId = generationOf(request.body);
        return {
          status: 200,
          json: identityJson(await identities.update(id, generationId, request)),
        };
      },
    },
    {
      method: 'DELETE',
      path: '/identities/:module',
      lane,
      respond: async (request) => {
        await identities.delete(parseModuleId(request.params['module'] ?? ''), request);
        return { status: 204 };
      },
    },
    {
      method: 'POST',
      path: '/device/reprovision',
      since: '2019-10-22',
      lane,
      respond: async (request) => {
        await identities.reprovision(request);
        return { status: 204 };
      },
    },
  ];
}

function identityJson({ moduleId, managedBy, generationId }: ManagedIdentity): object {
  return { moduleId, managedBy, generationId, authType: 'sas' };
}

function creationOf(body: unknown) {
  const members = membersOf(body);
  const moduleId = textOf(members, 'moduleId');
  const managedBy = members.has('managedBy') && { managedBy: textOf(members, 'managedBy') };
  return { moduleId, managedBy };
}

function generationOf(body: unknown): string {
  const members = membersOf(body);
  if (members.has('managedBy')) textOf(members, 'managedBy');
  return textOf(members, 'generationId');
}

function membersOf(body: unknown): ReadonlyMap<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
    return new Map(Object.entries(body));
  }
  throw new HttpProblem(422, 'the body is not an object');
}

function textOf(members: ReadonlyMap<string, unknown>, name: string): string {
  const text = members.get(name);
  if (typeof text === 'string') return text;
  throw new HttpProblem(422, `${name} is not a text`);
}
