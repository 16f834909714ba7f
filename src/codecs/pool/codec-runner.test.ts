import { expect, onTestFinished, test } from 'vitest'
import { evaluationWorkerUrl } from '../../../test/rig/program.ts'
import { PoolCodecRunner } from './codec-runner.ts'

test.each(['return { data: {} }', 'throw 1', 'return { data: [1] }'])(
  'A-4: the outcome of %s has its processor time',
  async (body) => {
    const runner = new PoolCodecRunner({ workerUrl: evaluationWorkerUrl })
    onTestFinished(() => runner.close())
    const source = `function decodeUplink() { for (let i = 0; i < 1e5; i++); ${body} }`
    const outcome = await runner.run('a', { kind: 'javascript', source }, new Uint8Array(), {
      receivedAt: 0n,
      uplink: {},
    })
    expect(outcome.tookMs).toBeGreaterThan(0)
  },
)
