import { describe, expect, it } from 'vitest'
import { processesOf, readCompose, readService } from '../../../../../test/rig/configuration/compose-draft.ts'

describe('the restart policy of a Compose service', () => {
  it.each([
    ['', { policy: 'on_failure' }],
    ['restart: always', undefined],
    ['restart: "no"', { policy: 'never' }],
    ['restart: on-failure', { policy: 'on_failure' }],
    ['restart: on-failure:3', { policy: 'on_failure', max_attempts: 3 }],
    ['deploy: { restart_policy: {} }, restart: "no"', undefined],
    ['deploy: { restart_policy: { condition: none, delay: 5s } }', { policy: 'never' }],
    ['deploy: { restart_policy: { delay: 1m30s } }', { backoff_ms: 90_000, max_backoff_ms: 90_000 }],
    [
      'deploy: { restart_policy: { condition: on-failure, delay: 500ms, max_attempts: 3, window: 2m } }',
      { policy: 'on_failure', backoff_ms: 500, max_backoff_ms: 500, max_attempts: 3, window_ms: 120_000 },
    ],
  ])('translates the restart policy %j', async (keys, expected) => {
    const { process, notes } = await readService(keys)
    expect([process['restart'], notes]).toEqual([expected, []])
  })

  it.each([
    ['"no"', undefined, []],
    ['on-failure', { policy: 'on_failure' }, []],
    ['always', undefined, ['t: restart left out, because other services wait for its end']],
  ])('restarts a task whose restart is %s as %j', async (restart, expected, notes) => {
    const draft = await readCompose(`
services:
  t: { build: ., command: x, restart: ${restart} }
  a: { build: ., command: x, depends_on: { t: { condition: service_completed_successfully } } }
`)
    expect(processesOf(draft)['t']).toEqual({
      command: 'x',
      kind: 'task',
      ...(expected === undefined ? {} : { restart: expected }),
    })
    expect(draft.notes).toEqual(notes)
  })
})
