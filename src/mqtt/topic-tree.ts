/** One level of topic filters. */
interface Node<T> {
  readonly children: Map<string, Node<T>>
  readonly values: Set<T>
}

/** The values of topic filters, found by the topics that match them (MQTT 5, 4.7). */
export class TopicTree<T> {
  readonly #root: Node<T> = { children: new Map(), values: new Set() }

  add(filter: string, value: T): void {
    let node = this.#root
    for (const level of levelsOf(filter)) {
      const child = node.children.get(level) ?? { children: new Map(), values: new Set() }
      node.children.set(level, child)
      node = child
    }
    node.values.add(value)
  }

  delete(filter: string, value: T): void {
    remove(this.#root, levelsOf(filter), value)
  }

  /** Returns the values of all filters that match the topic. */
  match(topic: string): readonly T[] {
    const found: T[] = []
    collect(this.#root, topic.split('/'), 0, found)
    return found
  }
}

/** The filter of a shared subscription is after `$share/{name}/` (MQTT 5, 4.8.2). */
function levelsOf(filter: string): readonly string[] {
  const levels = filter.split('/')
  return levels[0] === '$share' && levels.length > 2 ? levels.slice(2) : levels
}

function collect<T>(node: Node<T>, levels: readonly string[], depth: number, found: T[]): void {
  const level = levels[depth]
  // A wildcard at the first level does not match topics that begin with $ (MQTT 5, 4.7.2).
  const wildcards = depth > 0 || level?.startsWith('$') !== true
  // `a/#` matches `a`, too.
  const rest = wildcards ? node.children.get('#') : undefined
  if (rest !== undefined) found.push(...rest.values)
  if (level === undefined) {
    found.push(...node.values)
    return
  }
  const exact = level === '+' || level === '#' ? undefined : node.children.get(level)
  if (exact !== undefined) collect(exact, levels, depth + 1, found)
  const any = wildcards ? node.children.get('+') : undefined
  if (any !== undefined) collect(any, levels, depth + 1, found)
}

/** Removes the value and the levels that only it needs. Returns whether the node is empty. */
function remove<T>(node: Node<T>, [level, ...deeper]: readonly string[], value: T): boolean {
  if (level === undefined) node.values.delete(value)
  else {
    const child = node.children.get(level)
    if (child !== undefined && remove(child, deeper, value)) node.children.delete(level)
  }
  return node.values.size === 0 && node.children.size === 0
}
