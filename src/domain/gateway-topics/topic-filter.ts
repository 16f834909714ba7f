const MAX_TOPIC_BYTES = 65_535
/** The limit of mosquitto (TOPIC_HIERARCHY_LIMIT); EMQX has 128 by default. */
const MAX_LEVELS = 200

/** A topic filter (MQTT 3.1.1, 4.7.1): wildcards are whole levels, and # is the last. */
const TOPIC_FILTER = /^(([^+#\0/]*|\+)\/)*([^+#\0/]*|\+|#)$/
/** The name of a shared subscription (MQTT 5, 4.8.2) before its filter. */
const SHARE = /^\$share\/[^+#/]+\/(?=.)/

/** Returns whether a broker accepts the filter: `site/+`, `#` or `$share/name/site/+`. */
export function isTopicFilter(filter: string): boolean {
  if (filter.startsWith('$share/') && !SHARE.test(filter)) return false
  if (Buffer.byteLength(filter) > MAX_TOPIC_BYTES || topicFilterLevels(filter).length > MAX_LEVELS) return false
  return filter !== '' && TOPIC_FILTER.test(filter)
}

/**
 * Returns whether a topic exists that both filters match. A shared subscription counts as its filter: another subscription outside
 * the group receives all its messages.
 */
export function filtersOverlap(first: string, second: string): boolean {
  const [a, b] = [topicFilterLevels(first), topicFilterLevels(second)]
  // A wildcard in the first level matches no topic that begins with $ (4.7.2).
  if ((isWildcard(a[0]) && b[0]?.startsWith('$')) || (isWildcard(b[0]) && a[0]?.startsWith('$'))) return false
  for (let level = 0; ; level += 1) {
    const [left, right] = [a[level], b[level]]
    const ended = left === undefined || right === undefined
    // A # also matches the level before it, so it matches filters that have ended; but a topic is not empty (4.7.3).
    if (left === '#' || right === '#') return !(ended && level === 1 && (a[0] === '' || b[0] === ''))
    if (ended) return left === right
    if (left !== right && left !== '+' && right !== '+') return false
  }
}

/** Returns the levels of a filter; those of a shared subscription follow the name of its group (MQTT 5, 4.8.2). */
export function topicFilterLevels(filter: string): readonly string[] {
  return filter.replace(SHARE, '').split('/')
}

function isWildcard(level: string | undefined): boolean {
  return level === '+' || level === '#'
}
