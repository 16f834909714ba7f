import { spawn } from 'node:child_process'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemSource } from '../../supervisor/system/process-table.ts'
import { PsSource } from '../../supervisor/system/ps.ts'
import { UsageSampler } from './usage-sampler.ts'

describe('UsageSampler (O-41)', () => {
  test.each([
    ['the source of the system', systemSource],
    ['ps', new PsSource()],
  ])('measures a process group with %s', async (_name, source) => {
    const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })
    onTestFinished(() => void child.kill('SIGKILL'))
    const group = child.pid ?? 0
    const sampler = new UsageSampler(source)
    const sample = () => sampler.sample([{ name: 'a', group, startedAt: performance.now() - 1000 }]).get('a')
    await expect.poll(() => sample()?.memoryBytes).toBeGreaterThan(100_000)
    expect(sample()?.cpuPercent).toBeLessThan(50)
  })
})
