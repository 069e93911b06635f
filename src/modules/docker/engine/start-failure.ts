import type Docker from 'dockerode';
import { DamagedInstance } from '../../supervisor/module-type.ts';
import { messageOf, type RequestContext } from './connection/translate.ts';
import { isDamage, isLeftover } from './damage.ts';
import { unknownFailure, unknownProcess } from './unknown-process.ts';

/** What the engine's refusal of a start means for its container. */
export async function startFailure(
  container: Docker.Container,
  { action, socketPath }: RequestContext,
  error: unknown,
): Promise<unknown> {
  const text = `${action}: ${messageOf(error)}`;
  if (!isLeftover(text)) return isDamage(text) ? damaged(text, error) : error;
  // another container beside it would run the module twice
  const process = unknownProcess([(await container.inspect()).Id], socketPath);
  return process === undefined ? damaged(text, error) : unknownFailure(text, process, error);
}

function damaged(text: string, cause: unknown): DamagedInstance {
  return new DamagedInstance('Unavailable', text, { cause });
}
