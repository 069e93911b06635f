import type { Via } from '../../dbus/client/via.ts';
import { type Certificate, isSelfSigned } from '../../x509/certificate.ts';
import { raw } from '../../x509/der/asn1.ts';
import { decodeName } from '../../x509/name.ts';
import type { Method } from '../config/certificate-rule.ts';
import type { Answer, Issuer, Order } from '../issuers/issuer.ts';
import { judgeIssued } from './judgement.ts';

/** An issuer of this device whose certificates are judged like those of other CAs, by the top of their own chain. */
class JudgedIssuer implements Issuer {
  readonly #issuer: Issuer;

  constructor(issuer: Issuer) {
    this.#issuer = issuer;
  }

  async submit(order: Order, via: Via): Promise<Answer> {
    const answer = await this.#issuer.submit(order, via);
    if (answer.kind !== 'issued') return answer;
    const problem = problemOf(answer.chain, order);
    if (problem === undefined) return answer;
    return { kind: 'rejected', reason: problem, isFinal: false, retryAfterS: undefined };
  }
}

/** An issuer for orders: EST servers are judged by what they have taught and helpers by their output, in their clients. */
export function judgedIssuer(issuer: Issuer, { method }: { readonly method: Method }): Issuer {
  return method === 'self_signed' || method === 'local_ca' ? new JudgedIssuer(issuer) : issuer;
}

function problemOf(
  chain: readonly Certificate[],
  { profile, names, key, now, subjectDer }: Order,
): string | undefined {
  const anchor = chain.at(-1);
  // the path to an anchor says nothing about the signature of the anchor itself
  if (chain.length === 1 && anchor !== undefined && !isSelfSigned(anchor)) {
    return 'the issued certificate is not signed with its own key';
  }
  const issued = {
    certificates: chain,
    others: [],
    anchors: anchor === undefined ? [] : [anchor],
  };
  const subject = decodeName(raw(subjectDer));
  const judgement = judgeIssued(issued, { spki: key.spki, profile, subject, names }, now);
  return judgement.kind === 'refused' ? judgement.reason : undefined;
}
