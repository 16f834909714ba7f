import { expect, test } from 'vitest'
import { configOf, openRig, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { messageOf } from '../config/errors.ts'
import { ConfigChanges } from './config-changes.ts'

test('a reload that a stop overtakes is rejected, and is not reported as in force (O-39)', async () => {
  const rig = await openRig()
  const sketch = { name: 'a', ...rig.program('a') }
  const graph = supervise([sketch])
  const child = await rig.nextStart('a')
  await child.keep('SIGTERM')
  const reports: string[] = []
  const config = configOf([{ ...sketch, cwd: '/' }])
  const changes = new ConfigChanges(graph.supervisor, {
    load: () => config,
    scale: () => config,
    control: null,
    onReload: () => reports.push('reload'),
    onApplied: () => reports.push('applied'),
    onReloaded: (_answer, cause) => reports.push(`reloaded: ${cause}`),
    onRejected: (problem) => reports.push(`problem: ${problem}`),
  })
  const outcome = changes.reload().catch(messageOf)
  await child.nextSignal()
  const ended = graph.stop()
  await child.exit(0)
  expect(await outcome).toBe('the orchestrator is stopping')
  expect(reports).toEqual(['reload', 'problem: the orchestrator is stopping'])
  expect(await ended).toEqual({ exitCode: 0 })
  expect(graph.eventSequence('reloaded')).toEqual([])
})
