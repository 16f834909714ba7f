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
  if (Buffer.byteLength(filter) > MAX_TOPIC_BYTES || levelsOf(filter).length > MAX_LEVELS) return false
  return filter !== '' && TOPIC_FILTER.test(filter)
}

/**
 * Returns whether a topic exists that both filters match. A shared subscription counts as its filter: another subscription outside
 * the group receives all its messages.
 */
export function filtersOverlap(first: string, second: string): boolean {
  const [a, b] = [levelsOf(first), levelsOf(second)]
  // A wildcard in the first level matches no topic that begins with $ (4.7.2).
  if ((isWildcard(a[0]) && b[0]?.startsWith('$')) || (isWildcard(b[0]) && a[0]?.startsWith('$'))) return false
  for (let level = 0; ; level += 1) {
    const [left, right] = [a[level], b[level]]
    // A # also matches the level before it, so it matches filters that have ended.
    if (left === '#' || right === '#' || (left === undefined && right === undefined)) return true
    if (left === undefined || right === undefined) return false
    if (left !== right && left !== '+' && right !== '+') return false
  }
}

/** Finds a filter that overlaps another one among many, without comparing all of them. */
export class TopicFilterIndex<T> {
  readonly #root = new Level<T>()

  /** Adds a filter; of equal filters, the first is found. */
  add(filter: string, value: T): void {
    let node = this.#root
    for (const level of levelsOf(filter)) node = node.child(level)
    node.found ??= { value }
  }

  /** Returns the value of a filter that overlaps. */
  find(filter: string): { readonly value: T } | undefined {
    return this.#root.find(levelsOf(filter), 0)
  }
}

class Level<T> {
  readonly #children = new Map<string, Level<T>>()
  found: { readonly value: T } | undefined

  child(name: string): Level<T> {
    const existing = this.#children.get(name)
    if (existing !== undefined) return existing
    const created = new Level<T>()
    this.#children.set(name, created)
    return created
  }

  find(levels: readonly string[], depth: number): { readonly value: T } | undefined {
    const name = levels[depth]
    const hidden = (child: string) => depth === 0 && child.startsWith('$')
    if (name === '#') return this.#first((child) => !hidden(child))
    const rest = name !== undefined && hidden(name) ? undefined : this.#children.get('#')?.found
    if (rest !== undefined) return rest
    if (name === undefined) return this.found
    for (const [child, node] of name === '+' ? this.#children : this.#matching(name, hidden(name))) {
      const found = child === '#' || (name === '+' && hidden(child)) ? undefined : node.find(levels, depth + 1)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** The children with a name or, unless the wildcard does not match it, with a wildcard. */
  #matching(name: string, isHidden: boolean): readonly (readonly [string, Level<T>])[] {
    const names = isHidden ? [name] : [name, '+']
    return names.flatMap((child) => {
      const node = this.#children.get(child)
      return node === undefined ? [] : [[child, node] as const]
    })
  }

  #first(isIncluded: (child: string) => boolean = () => true): { readonly value: T } | undefined {
    if (this.found !== undefined) return this.found
    for (const [child, node] of this.#children) {
      const found = isIncluded(child) ? node.#first() : undefined
      if (found !== undefined) return found
    }
    return undefined
  }
}

function levelsOf(filter: string): readonly string[] {
  return filter.replace(SHARE, '').split('/')
}

function isWildcard(level: string | undefined): boolean {
  return level === '+' || level === '#'
}
