import { writeSync } from 'node:fs'

// Imported into a service by `node --expose-gc --import`: on SIGUSR2 collects garbage and prints the memory in use as a line of JSON.

process.on('SIGUSR2', () => {
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  // Not console.log, which makes the pipe of the service's log non-blocking.
  writeSync(1, `${JSON.stringify({ msg: 'memory', used: heapUsed + external, rss })}\n`)
})
