import { PoolCodecRunner } from '../../src/codecs/pool/codec-runner.ts'

/** Creates a runner in worker threads. Without a quarantine, each sample of a codec that exceeds the limits shows the reason. */
export function createRunner(): PoolCodecRunner {
  const workerUrl = new URL('./codec-worker.js', import.meta.url)
  return new PoolCodecRunner({ workerUrl, limits: { failuresToQuarantine: Infinity } })
}
