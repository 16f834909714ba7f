import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { EnvironmentError } from '../domain/errors.ts'
import {
  clickhouseEnvironment,
  commonEnvironment,
  describeEnvironment,
  integer,
  natsEnvironment,
  parseEnvironment,
  port,
  postgresEnvironment,
  seconds,
} from './environment.ts'

const schema = z.object({
  ...commonEnvironment,
  ...natsEnvironment,
  ...postgresEnvironment,
  ...clickhouseEnvironment,
  PONIX_GRPC_PORT: port().prefault('50051'),
  PONIX_LICENSE_KEY: z.string().optional(),
})

function problemsOf(variables: z.ZodObject, env: Record<string, string>): readonly string[] {
  try {
    parseEnvironment(variables, env)
    return []
  } catch (error) {
    if (error instanceof EnvironmentError) return error.problems
    throw error
  }
}

describe('the environment', () => {
  test('W-6 has defaults, and parses seconds to milliseconds', () => {
    expect(parseEnvironment(schema, {})).toMatchObject({
      PONIX_LOG_LEVEL: 'info',
      PONIX_STARTUP_TIMEOUT_MS: 30_000,
      PONIX_NATS_URL: 'nats://localhost:4222',
      PONIX_NATS_RAW_STREAM: 'raw_envelopes',
      PONIX_PROCESSED_ENVELOPES_STREAM: 'processed_envelopes',
      PONIX_NATS_GATEWAY_STREAM: 'gateways',
      PONIX_NATS_DEFERRED_STREAM: 'deferred_envelopes',
      PONIX_NATS_DEFERRED_MAX_BYTES: 500_000_000,
      PONIX_NATS_DEFERRED_MAX_PER_ORGANIZATION: 10_000,
      PONIX_NATS_SURPLUS_STREAM: 'surplus_envelopes',
      PONIX_NATS_SURPLUS_MAX_BYTES: 1_000_000_000,
      PONIX_NATS_SURPLUS_MAX_PER_ORGANIZATION: 8192,
      PONIX_NATS_BATCH_SIZE: 30,
      PONIX_NATS_BATCH_WAIT_MS: 5000,
      PONIX_POSTGRES_HOST: 'localhost',
      PONIX_POSTGRES_PORT: 5432,
      PONIX_POSTGRES_DATABASE: 'ponix',
      PONIX_POSTGRES_USERNAME: 'ponix',
      PONIX_POSTGRES_PASSWORD: 'ponix',
      PONIX_CLICKHOUSE_URL: 'http://localhost:8123',
      PONIX_CLICKHOUSE_DATABASE: 'ponix',
      PONIX_CLICKHOUSE_USERNAME: 'ponix',
      PONIX_CLICKHOUSE_PASSWORD: 'ponix',
      PONIX_GRPC_PORT: 50_051,
    })
  })

  test('R-7 reports all problems together, each with the variable, the given and the expected value', () => {
    const problems = problemsOf(schema, {
      PONIX_GRPC_PORT: '70000',
      PONIX_NATS_BATCH_SIZE: 'many',
      PONIX_LOG_LEVEL: 'loud',
      PONIX_NATS_URL: 'http://ponix:hunter2@localhost',
      PONIX_STARTUP_TIMEOUT_SECS: '-1',
      PONIX_NATS_RAW_STREAM: 'raw.envelopes',
    })
    expect([...problems].sort()).toEqual([
      'PONIX_GRPC_PORT="70000": expected a whole number from 1 to 65535',
      'PONIX_LOG_LEVEL="loud": expected trace, debug, info, warn, error, fatal or silent',
      'PONIX_NATS_BATCH_SIZE="many": expected a whole number from 1 to 10000',
      'PONIX_NATS_RAW_STREAM="raw.envelopes": expected 1 to 128 letters, digits, _ or -',
      'PONIX_NATS_URL="http://ponix:***@localhost": expected a URL like nats://host:port or tls://host:port, or several separated by commas',
      'PONIX_STARTUP_TIMEOUT_SECS="-1": expected a number of seconds from 0 to 86400',
    ])
  })

  test('R-7 never shows an invalid secret, and names what is missing', () => {
    const own = z.object({
      PONIX_API_TOKEN: z.string().min(10, 'expected 10 characters or more'),
      PONIX_REGION: z.string(),
    })
    expect(problemsOf(own, { PONIX_API_TOKEN: 'hunter2' })).toEqual([
      'PONIX_API_TOKEN: expected 10 characters or more',
      'PONIX_REGION is not set; set it',
    ])
  })

  test('R-7 treats an empty variable as not set', () => {
    expect(parseEnvironment(schema, { PONIX_GRPC_PORT: '', PONIX_NATS_URL: '' })).toMatchObject({
      PONIX_GRPC_PORT: 50_051,
      PONIX_NATS_URL: 'nats://localhost:4222',
    })
  })

  test('R-7 describes the variables in force so that they can be set again, secrets masked', () => {
    const description = describeEnvironment(schema, {
      PONIX_NATS_URL: 'nats://ponix:hunter2@nats:4222',
      PONIX_POSTGRES_PASSWORD: 'hunter2',
      PONIX_NATS_BATCH_WAIT_SECS: '0.5',
    })
    const lines = description.trimEnd().split('\n')
    expect(lines).toContain('PONIX_NATS_URL=nats://ponix:***@nats:4222')
    expect(lines).toContain('PONIX_POSTGRES_PASSWORD=***')
    expect(lines).toContain('PONIX_CLICKHOUSE_PASSWORD=***')
    expect(lines).toContain('PONIX_NATS_BATCH_WAIT_SECS=0.5')
    expect(lines).toContain('PONIX_STARTUP_TIMEOUT_SECS=30')
    expect(lines).toContain('PONIX_GRPC_PORT=50051')
    expect(lines).toContain('# PONIX_LICENSE_KEY is not set')
    expect(description).not.toContain('hunter2')
    const again = Object.fromEntries(lines.filter((line) => !line.startsWith('#')).map((line) => line.split(/=(.*)/s)))
    expect(describeEnvironment(schema, again)).toBe(description)
  })

  test('parses whole numbers and seconds', () => {
    const numbers = z.object({ N: integer(0, 10), S: seconds(0, 10) })
    expect(parseEnvironment(numbers, { N: '10', S: '0.0015' })).toEqual({ N: 10, S: 2 })
    expect(parseEnvironment(numbers, { N: '007', S: '10' })).toEqual({ N: 7, S: 10_000 })
    for (const N of ['1.5', '1e3', ' 1', '0x1', 'NaN', '11', '-1'])
      expect([N, problemsOf(numbers, { N, S: '1' })]).toEqual([N, [expect.stringContaining('whole number')]])
    for (const S of ['1e3', '.5', '5s', 'Infinity', '10.1'])
      expect([S, problemsOf(numbers, { N: '1', S })]).toEqual([S, [expect.stringContaining('seconds')]])
  })
})
