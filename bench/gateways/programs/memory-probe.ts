// Imported into a service by `node --expose-gc --import`: on SIGUSR2 collects garbage and prints the memory in use as a line of JSON.

process.on('SIGUSR2', () => {
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  console.log(JSON.stringify({ msg: 'memory', used: heapUsed + external, rss }))
})
