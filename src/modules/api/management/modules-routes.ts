import { ServiceError } from '../../../errors.ts';
import type { ModuleName } from '../../../ids.ts';
import type { ModuleSource } from '../../module-source.ts';
import { lastOf } from '../http/request/target.ts';
import type { ApiRequest, Route, RouteBody } from '../http/route.ts';
import type { ModuleSummary } from '../module-list.ts';
import { managedModule, managedModules, sentModule } from './module-details.ts';
import { parseModule } from './module-path.ts';
import {
  type RunnableSpec,
  runnableSpec,
  type SentSpec,
  sentSpec,
  specBody,
} from './module-spec.ts';

/** An operation on behalf of a request; it goes on when the client leaves. */
export type Requested = Pick<ApiRequest, 'requestId' | 'signal'>;

/** Starts, stops or restarts a module, or removes it with its container. */
export type ModuleAction = 'start' | 'stop' | 'restart' | 'remove';

/** The modules that the API manages. Failures are those of Modules1. */
export interface ModulesManagement {
  list(): readonly ModuleSummary[];
  /** The module of that name, undefined when there is none. */
  find(name: ModuleName): ModuleSummary | undefined;
  /** The source of a module as its caller may run it; rejects with AccessDenied. */
  admit(spec: RunnableSpec): Promise<ModuleSource>;
  /** Creates a module, which is not started. */
  create(source: ModuleSource, request: Requested): Promise<void>;
  /** Replaces a module by one that runs, or that is not started; resolves before that has proven good. */
  update(source: ModuleSource, start: boolean, request: Requested): Promise<void>;
  /** Pulls the image of a module, which need not exist. */
  prepare(source: ModuleSource, request: Requested): Promise<void>;
  /** Resolves when the operation has ended. */
  act(action: ModuleAction, name: ModuleName, request: Requested): Promise<void>;
}

/** Most clients send none. */
const noBody: RouteBody = { check: () => undefined, isOptional: true };

/** The routes below `/modules`. */
export function modulesRoutes(modules: ModulesManagement): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/modules',
      trailingSlash: true,
      respond: () => ({ status: 200, json: managedModules(modules.list()) }),
    },
    {
      method: 'POST',
      path: '/modules',
      trailingSlash: true,
      lane: 'operations',
      body: specBody,
      respond: async (request) => {
        const sent = sentSpec(request.body);
        const source = await modules.admit(runnableSpec(sent));
        await modules.create(source, request);
        return { status: 201, json: sentModule(sent, 'stopped') };
      },
    },
    {
      method: 'GET',
      path: '/modules/:name',
      respond: ({ params }) => {
        const name = namedIn(params);
        const module = modules.find(name);
        if (module === undefined) throw absent(name);
        return { status: 200, json: managedModule(module) };
      },
    },
    {
      method: 'PUT',
      path: '/modules/:name',
      lane: 'operations',
      body: specBody,
      respond: async (request) => {
        const name = namedIn(request.params);
        const start = startIn(request.query);
        const sent = sentSpec(request.body);
        refuseOther(name, sent);
        const runnable = runnableSpec(sent);
        if (modules.find(name) === undefined) throw absent(name);
        await modules.update(await modules.admit(runnable), start, request);
        return { status: 201, json: sentModule(sent, start ? 'running' : 'stopped') };
      },
    },
    {
      method: 'POST',
      path: '/modules/:name/prepareupdate',
      since: '2019-01-30',
      lane: 'operations',
      body: specBody,
      respond: async (request) => {
        const sent = sentSpec(request.body);
        refuseOther(namedIn(request.params), sent);
        const source = await modules.admit(runnableSpec(sent));
        if (source.settings.imagePullPolicy !== 'never') await modules.prepare(source, request);
        return { status: 204 };
      },
    },
    {
      method: 'DELETE',
      path: '/modules/:name',
      lane: 'operations',
      respond: (request) => act(modules, 'remove', request),
    },
    ...(['start', 'stop', 'restart'] as const).map(
      (action): Route => ({
        method: 'POST',
        path: `/modules/:name/${action}`,
        lane: 'operations',
        body: noBody,
        respond: (request) => act(modules, action, request),
      }),
    ),
  ];
}

async function act(modules: ModulesManagement, action: ModuleAction, request: ApiRequest) {
  const name = namedIn(request.params);
  if (modules.find(name) === undefined) throw absent(name);
  await modules.act(action, name, request);
  return { status: 204 };
}

function namedIn(params: ApiRequest['params']): ModuleName {
  return parseModule(params['name'] ?? '');
}

/** Whether the new module is to run. */
function startIn(query: URLSearchParams): boolean {
  const text = lastOf(query, 'start') ?? 'false';
  if (text === 'true' || text === 'false') return text === 'true';
  throw new ServiceError('InvalidArgs', 'start is neither true nor false');
}

function refuseOther(name: ModuleName, sent: SentSpec): void {
  if (sent.name === name) return;
  throw new ServiceError('InvalidArgs', 'the name in the body is another than that in the path');
}

function absent(name: string): ServiceError {
  return new ServiceError('NotFound', `no module ${JSON.stringify(name)}`);
}
