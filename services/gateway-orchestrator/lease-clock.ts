/**
 * Returns a clock in milliseconds that only goes forward, also while the machine is suspended: Linux's monotonic clock, which Node
 * uses, stops meanwhile, and the wall clock can be set back. Each step is the larger step of both.
 */
export function createLeaseClock(
  monotonicMs = (): number => performance.now(),
  wallMs = (): number => Date.now(),
): () => number {
  let [monotonic, wall, elapsed] = [monotonicMs(), wallMs(), 0]
  return () => {
    const [nextMonotonic, nextWall] = [monotonicMs(), wallMs()]
    elapsed += Math.max(nextMonotonic - monotonic, nextWall - wall)
    monotonic = nextMonotonic
    wall = nextWall
    return elapsed
  }
}
