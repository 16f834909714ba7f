import { describe, expect, it } from 'vitest'
import { parseEnvironment } from '../../src/runner/environment.ts'
import { environment, usesLeases } from './environment.ts'

describe('usesLeases', () => {
  it.each([
    { env: {}, expected: false },
    { env: { PONIX_REPLICA: '1' }, expected: true },
    { env: { KUBERNETES_SERVICE_HOST: '10.0.0.1' }, expected: true },
    { env: { PONIX_GATEWAY_ORCHESTRATOR_LEASES: 'on' }, expected: true },
    { env: { PONIX_GATEWAY_ORCHESTRATOR_LEASES: 'off', PONIX_REPLICA: '1' }, expected: false },
  ])('G-13: is $expected with $env', ({ env, expected }) => {
    expect(usesLeases(parseEnvironment(environment, env))).toBe(expected)
  })
})
