/** Returns the processor time of one call in µs, the average of so many calls. Includes garbage collection. */
export function microsPerCall(run: () => unknown, calls: number): number {
  const before = process.cpuUsage()
  for (let call = 0; call < calls; call += 1) run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}
