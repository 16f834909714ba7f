/** Returns the shard of a gateway, from 0 to `shards` - 1: equal in every instance. */
export function shardOf(gatewayId: string, shards: number): number {
  return hash(gatewayId) % shards
}

/**
 * Returns the shards that belong to an instance, by rendezvous hashing (Thaler and Ravishankar, 1996): a shard belongs to the live
 * instance with the highest weight for it, so only the shards of an instance that joins or leaves move.
 */
export function shardsOf(instance: string, live: ReadonlySet<string>, shards: number): ReadonlySet<number> {
  const numbers = Array.from({ length: shards }, (_, shard) => shard)
  return new Set(numbers.filter((shard) => highest(shard, live) === instance))
}

function highest(shard: number, live: ReadonlySet<string>): string | undefined {
  const weighted = [...live].map((instance) => ({ instance, weight: hash(`${shard}:${instance}`) }))
  weighted.sort((one, other) => other.weight - one.weight || (one.instance < other.instance ? -1 : 1))
  return weighted[0]?.instance
}

/** FNV-1a with 32 bits (Fowler, Noll and Vo), and the finalizer of MurmurHash3 (Appleby), without which its high bits are not uniform. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
