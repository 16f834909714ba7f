import { describe, expect, it } from 'vitest'
import { controlCommands, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { statusOf } from '../../../../test/rig/orchestrator/process-status.ts'
import type { ProcessStatus } from '../../control/protocol.ts'
import { mostUrgentFirst, renderStatus } from './status-table.ts'

function disabled(name: string, because: string): ProcessStatus {
  return statusOf(name, 'disabled', { reason: because, detail: because })
}

const byOnly = 'was left out by --only'
const inFile = 'is disabled in the file'
const ofProfile = 'belongs to the profile "dev", which is not active'

describe('the table of the status', () => {
  it('groups left-out processes by their reason, one line each, at the end', () => {
    const processes = [
      disabled('a', byOnly),
      statusOf('web', 'ready'),
      disabled('b', inFile),
      disabled('c', byOnly),
      disabled('d', ofProfile),
    ]
    expect(renderStatus(processes, null).split('\n')).toEqual([
      expect.stringMatching(/^NAME +STATE/),
      expect.stringMatching(/^web +ready/),
      'left out by --only: a, c',
      'disabled in the file: b',
      'in the profile "dev", which is not active: d',
      '',
    ])
  })

  it('has no heading if all processes are left out', () => {
    expect(renderStatus([disabled('a', byOnly)], 80)).toBe('left out by --only: a\n')
  })

  it('shortens names in a terminal that is too narrow, so that all columns remain', () => {
    const long = 'a-process-with-a-name-of-43-characters-long'
    const processes = [statusOf(long, 'ready', { detail: 'x'.repeat(30) }), statusOf('web', 'ready')]
    const [head = '', row = '', detail, web = ''] = renderStatus(processes, 60).split('\n')
    expect(head).toMatch(/^NAME .*CPU +MEMORY$/)
    expect(head).toHaveLength(60)
    expect(row).toMatch(/^a-process-.*….*-long +ready/)
    expect(detail).toBe(`    ${'x'.repeat(30)}`)
    expect(web).toMatch(/^web +ready/)
    expect(renderStatus(processes, 100)).toContain(long)
    expect(renderStatus(processes, null)).toContain(long)
  })

  it('has the processes with problems first if not all fit', () => {
    const states = ['ready', 'disabled', 'waiting', 'completed', 'stopped', 'backoff', 'running', 'failed', 'unhealthy']
    const sorted = mostUrgentFirst(states.map((state) => statusOf(state, state)))
    expect(sorted.map(({ name }) => name)).toEqual([
      'failed',
      'unhealthy',
      'backoff',
      'waiting',
      'stopped',
      'ready',
      'completed',
      'running',
      'disabled',
    ])
  })
})

const control = controlCommands()

describe('status (O-9)', () => {
  it('shows the processes that --only leaves out in one line, and all of them in --json', async () => {
    await control.start({ a: sleeper, web: sleeper, b: sleeper }, '--only', 'web')
    const { stdout } = await control.program.run('status')
    expect(stdout.split('\n').slice(1)).toEqual([
      expect.stringMatching(/^web +running/),
      'left out by --only: a, b',
      '',
    ])
    expect(Object.keys(await control.status())).toEqual(['a', 'web', 'b'])
  })
})
