import { describe, expect, it } from 'vitest'
import { readService } from '../../../../../test/rig/configuration/compose-draft.ts'

describe('the healthcheck of a Compose service', () => {
  it.each([
    ['test: ["CMD", "pg_isready", "-q"]', { exec: ['pg_isready', '-q'] }],
    ['test: ["CMD-SHELL", "pg_isready -U $$USER"]', { exec: 'pg_isready -U $USER' }],
    ['test: ["CMD", "wget", "-q", "--spider", "http://localhost/up"]', { http_get: 'http://localhost/up' }],
    ['test: curl --fail -s localhost:80/', { http_get: 'http://localhost:80/' }],
    ['test: "curl -f http://localhost:${PORT:-80}/ || exit 1"', { http_get: 'http://localhost:${PORT:-80}/' }],
    ['test: curl -X POST http://localhost/', { exec: 'curl -X POST http://localhost/' }],
    ['test: "echo ${A:-b} | cat"', { exec: ['/bin/sh', '-c', 'echo ${A:-b} | cat'] }],
    [
      'test: check, interval: 2s, timeout: 1m30s, retries: 4',
      { exec: 'check', period_ms: 2000, timeout_ms: 90_000, failure_threshold: 4 },
    ],
    ['test: check, timeout: 500ms', { exec: 'check', timeout_ms: 500 }],
    ['test: ["NONE"]', undefined],
    ['test: check, disable: true', undefined],
    ['interval: 3s', undefined],
  ])('has the probe of the healthcheck %s', async (healthcheck, probe) => {
    const { process, notes } = await readService(`healthcheck: {${healthcheck}}`)
    expect([process['readiness_probe'], notes]).toEqual([probe, []])
  })

  it('waits for a slow start as long as Compose does, and names what a healthcheck cannot have', async () => {
    const slow = await readService('healthcheck: { test: x, start_period: 3m, interval: 30s, retries: 2 }')
    expect(slow.process).toMatchObject({
      readiness_probe: { exec: 'x', failure_threshold: 2 },
      startup_timeout_ms: 240_000,
    })
    expect(slow.notes).toEqual([
      'a: healthcheck.interval 30s left out: the probe runs every 200 ms until it succeeds, then every 5 s; see "period_ms"',
    ])
    const wrong = await readService('healthcheck: { test: [RUN, x], timeout: soon }, stop_grace_period: 5 minutes')
    expect(wrong.process).not.toHaveProperty('readiness_probe')
    expect(wrong.notes).toEqual([
      'a: healthcheck left out: its "test" begins with RUN; expected CMD, CMD-SHELL or NONE',
      'a: stop_grace_period 5 minutes is not a duration such as 1m30s; left out',
    ])
  })
})
