import { isLoopbackHost } from '../domain/gateway-topics/overlaps.ts'
import { topicFilterLevels } from '../domain/gateway-topics/topic-filter.ts'
import type { Statement } from './database.ts'

const HOST = 'ponix_broker_host(gateway_config)'
const PREFIX = '(ponix_topic_prefix(organization_id, gateway_type, gateway_config) COLLATE "C")'
const SAME_BROKER = `SELECT gateway_id AS "gatewayId" FROM gateways
    WHERE organization_id = $1 AND deleted_at IS NULL AND ${HOST} = ANY ($2)`

/**
 * The gateways whose broker can have the host and whose filter can overlap: of two filters that overlap, the levels before the first
 * wildcard of one are the first levels of the other. The order of the index and of the conditions is the same.
 */
export const OVERLAP_CANDIDATES: Statement = {
  name: 'find_overlap_candidates',
  text: `${SAME_BROKER} AND ${PREFIX} = ANY ($3)
    UNION ${SAME_BROKER} AND ${PREFIX} >= $4 AND ${PREFIX} < $5`,
}

/** The first 200 characters, as in the migration. */
const SHORT = /^.{200}/su
/** A host that is not written plainly. */
const ANY_HOST = '*'
/** The usual hosts of the machine itself that are written plainly. */
const LOOPBACK_HOSTS = ['localhost', '127.0.0.1']

/** Returns the parameters of the statement. */
export function overlapCandidatesOf(organizationId: string, host: string, topicFilter: string): readonly unknown[] {
  const hosts = [host, ANY_HOST, ...(isLoopbackHost(host) ? LOOPBACK_HOSTS : [])]
  const levels = topicFilterLevels(topicFilter)
  const wildcard = levels.findIndex((level) => level === '+' || level === '#')
  const plain = wildcard === -1 ? levels : levels.slice(0, wildcard)
  const prefixes = [...plain.keys(), plain.length].map((count) => prefixOf(plain.slice(0, count)))
  const own = prefixes.at(-1) ?? ''
  // A filter without wildcards overlaps only those whose levels are among its own, as does one whose prefix is shortened.
  const isExact = wildcard === -1 || !/^$|\/$/.test(own)
  return [organizationId, [...new Set(hosts)], [...new Set(prefixes)], ...(isExact ? [null, null] : rangeOf(own))]
}

function prefixOf(levels: readonly string[]): string {
  const text = levels.map((level) => `${level}/`).join('')
  // PostgreSQL counts code points.
  return SHORT.exec(text)?.[0] ?? text
}

/** Returns the range of the texts that begin with a prefix: 0 follows / in the order of their codes. */
function rangeOf(prefix: string): readonly [string, string] {
  return prefix === '' ? ['', LAST] : [prefix, `${prefix.slice(0, -1)}0`]
}

/** The last code point, which cannot be the first one of a topic filter in practice. */
const LAST = '\u{10FFFF}'
