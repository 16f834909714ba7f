import { topicFilterLevels } from './topic-filter.ts'

/**
 * Finds a topic filter that overlaps another one among many, without comparing all of them. Filters with many wildcards at different
 * levels can need a comparison with all others, so the number of visited levels is limited; beyond it, nothing is added or found.
 */
export class TopicFilterIndex<T> {
  readonly #root: Node<T> = { level: undefined, children: new Map() }
  #visitsLeft: number

  constructor(maxVisits: number) {
    this.#visitsLeft = maxVisits
  }

  add(filter: string, value: T): void {
    let node = this.#root
    for (const level of topicFilterLevels(filter)) {
      if (!this.#visit()) return
      const child: Node<T> = node.children.get(level) ?? { level, children: new Map() }
      node.children.set(level, child)
      node = child
    }
    node.values ??= []
    node.values.push(value)
  }

  /** Returns a value, other than the given one, whose filter overlaps. */
  find(filter: string, other: T): T | undefined {
    return this.#find(this.#root, topicFilterLevels(filter), 0, other)
  }

  #find(node: Node<T>, levels: readonly string[], depth: number, other: T): T | undefined {
    if (!this.#visit()) return undefined
    const level = levels[depth]
    // A wildcard in the first level matches no topic that begins with $ (MQTT 5, 4.7.2).
    const hides = (name: string | undefined): boolean => depth === 0 && name?.startsWith('$') === true
    // A # also matches the level before it; but a topic is not empty (4.7.3).
    const before = depth !== 1 || (levels[0] !== '' && node.level !== '')
    if (level === '#') return (before ? valueOf(node, other) : undefined) ?? this.#below(node, other, hides)
    const withRest = !hides(level) && (level !== undefined || before)
    const rest = withRest ? valueOf(node.children.get('#'), other) : undefined
    if (rest !== undefined || level === undefined) return rest ?? valueOf(node, other)
    const names = level === '+' ? node.children.keys() : hides(level) ? [level] : [level, '+']
    for (const name of names) {
      const child = name === '#' || (level === '+' && hides(name)) ? undefined : node.children.get(name)
      const found = child && this.#find(child, levels, depth + 1, other)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Returns a value of a level below the node. */
  #below(node: Node<T>, other: T, hides: (name: string) => boolean): T | undefined {
    if (!this.#visit()) return undefined
    for (const [name, child] of node.children) {
      const found = hides(name) ? undefined : (valueOf(child, other) ?? this.#below(child, other, () => false))
      if (found !== undefined) return found
    }
    return undefined
  }

  #visit(): boolean {
    if (this.#visitsLeft === 0) return false
    this.#visitsLeft -= 1
    return true
  }
}

/** One level of the filters. */
interface Node<T> {
  /** Absent at the root. */
  readonly level: string | undefined
  readonly children: Map<string, Node<T>>
  values?: T[]
}

function valueOf<T>(node: Node<T> | undefined, other: T): T | undefined {
  return node?.values?.find((value) => value !== other)
}
