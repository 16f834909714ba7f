import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  clickhouseEnvironment,
  commonEnvironment,
  integer,
  natsEnvironment,
  port,
  postgresEnvironment,
  seconds,
  describeEnvironment,
  parseEnvironment,
  readEnvironment,
  type EnvironmentHost,
} from './environment.ts'

const schema = z.object({
  ...commonEnvironment,
  ...natsEnvironment,
  ...postgresEnvironment,
  ...clickhouseEnvironment,
  PONIX_GRPC_PORT: port().prefault('50051'),
  PONIX_LICENSE_KEY: z.string().optional(),
})

class Exit extends Error {
  readonly code: number
  constructor(code: number) {
    super(`exit ${code}`)
    this.code = code
  }
}

function run(env: Record<string, string>, ...argv: string[]) {
  const out: string[] = []
  const err: string[] = []
  const host: EnvironmentHost = {
    env,
    argv: ['node', 'main.js', ...argv],
    print: (text) => out.push(text),
    printError: (text) => err.push(text),
    exit: (code) => {
      throw new Exit(code)
    },
  }
  try {
    return { value: parseEnvironment('api', schema, host), code: undefined, out: '', err: '' }
  } catch (error) {
    if (!(error instanceof Exit)) throw error
    return { value: undefined, code: error.code, out: out.join(''), err: err.join('') }
  }
}

describe('environment', () => {
  test('W-6 the defaults, with seconds as milliseconds', () => {
    expect(run({}).value).toMatchObject({
      PONIX_LOG_LEVEL: 'info',
      PONIX_STARTUP_TIMEOUT_SECS: 30_000,
      PONIX_NATS_URL: 'nats://localhost:4222',
      PONIX_NATS_RAW_STREAM: 'raw_envelopes',
      PONIX_PROCESSED_ENVELOPES_STREAM: 'processed_envelopes',
      PONIX_NATS_GATEWAY_STREAM: 'gateways',
      PONIX_NATS_BATCH_SIZE: 30,
      PONIX_NATS_BATCH_WAIT_SECS: 5000,
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

  test('R-7 all errors at once, each with the variable, what was given and what was expected; exit code 2', () => {
    const { code, err, out } = run({
      PONIX_GRPC_PORT: '70000',
      PONIX_NATS_BATCH_SIZE: 'many',
      PONIX_LOG_LEVEL: 'loud',
      PONIX_NATS_URL: 'http://ponix:hunter2@localhost',
      PONIX_STARTUP_TIMEOUT_SECS: '-1',
      PONIX_NATS_RAW_STREAM: 'raw.envelopes',
    })
    expect(code).toBe(2)
    expect(out).toBe('')
    expect(err.trimEnd().split('\n').sort()).toEqual([
      'api: PONIX_GRPC_PORT="70000": expected a whole number from 1 to 65535',
      'api: PONIX_LOG_LEVEL="loud": expected trace, debug, info, warn, error, fatal or silent',
      'api: PONIX_NATS_BATCH_SIZE="many": expected a whole number from 1 to 10000',
      'api: PONIX_NATS_RAW_STREAM="raw.envelopes": expected a name of letters, digits, _ and -',
      'api: PONIX_NATS_URL="http://ponix:***@localhost": expected a URL like nats://host:port or tls://host:port, or several separated by commas',
      'api: PONIX_STARTUP_TIMEOUT_SECS="-1": expected a number of seconds from 0 to 86400',
    ])
  })

  test('R-7 a secret is never shown, also when it is wrong; what is missing is named', () => {
    const own = z.object({
      PONIX_API_TOKEN: z.string().min(10, 'expected 10 characters or more'),
      PONIX_REGION: z.string(),
    })
    expect(readEnvironment(own, { PONIX_API_TOKEN: 'hunter2' })).toEqual({
      ok: false,
      errors: ['PONIX_API_TOKEN: expected 10 characters or more', 'PONIX_REGION is not set; set it'],
    })
  })

  test('R-7 an empty variable counts as one that is not set', () => {
    expect(run({ PONIX_GRPC_PORT: '', PONIX_NATS_URL: '' }).value).toMatchObject({
      PONIX_GRPC_PORT: 50_051,
      PONIX_NATS_URL: 'nats://localhost:4222',
    })
  })

  test('R-7 --print-config shows what is in force as it can be set again, secrets masked, and exits 0', () => {
    const env = {
      PONIX_NATS_URL: 'nats://ponix:hunter2@nats:4222',
      PONIX_POSTGRES_PASSWORD: 'hunter2',
      PONIX_NATS_BATCH_WAIT_SECS: '0.5',
    }
    const { code, out, err } = run(env, '--print-config')
    expect([code, err]).toEqual([0, ''])
    const lines = out.trimEnd().split('\n')
    expect(lines).toContain('PONIX_NATS_URL=nats://ponix:***@nats:4222')
    expect(lines).toContain('PONIX_POSTGRES_PASSWORD=***')
    expect(lines).toContain('PONIX_CLICKHOUSE_PASSWORD=***')
    expect(lines).toContain('PONIX_NATS_BATCH_WAIT_SECS=0.5')
    expect(lines).toContain('PONIX_STARTUP_TIMEOUT_SECS=30')
    expect(lines).toContain('PONIX_GRPC_PORT=50051')
    expect(lines).toContain('# PONIX_LICENSE_KEY is not set')
    expect(out).not.toContain('hunter2')
    const again = Object.fromEntries(lines.filter((line) => !line.startsWith('#')).map((line) => line.split(/=(.*)/s)))
    expect(describeEnvironment(schema, again)).toBe(out)
  })

  test('whole numbers and seconds', () => {
    const numbers = z.object({ N: integer(0, 10), S: seconds(0, 10) })
    const read = (N: string, S: string) => {
      const reading = readEnvironment(numbers, { N, S })
      return reading.ok ? reading.value : reading.errors.length
    }
    expect(read('10', '0.0015')).toEqual({ N: 10, S: 2 })
    expect(read('007', '10')).toEqual({ N: 7, S: 10_000 })
    for (const wrong of ['1.5', '1e3', ' 1', '0x1', 'NaN', '11', '-1'])
      expect([wrong, read(wrong, '1')]).toEqual([wrong, 1])
    for (const wrong of ['1e3', '.5', '5s', 'Infinity', '10.1']) expect([wrong, read('1', wrong)]).toEqual([wrong, 1])
  })
})
