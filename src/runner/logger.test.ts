import { describe, expect, test } from 'vitest'
import { createLoggerTo, logStyle } from './logger.ts'
import { maskSecrets, maskUrlSecrets } from '../domain/secrets.ts'

function capture(level?: string) {
  const lines: string[] = []
  return { lines, logger: createLoggerTo({ write: (line: string) => lines.push(line) }, 'api', level) }
}

describe('the logger', () => {
  test('R-8 writes JSON lines with time, level, service and the ids of the unit of work', () => {
    const { lines, logger } = capture()
    logger.child({ gateway_id: 'g1', end_device_id: 'd1' }).info({ subject: 'raw.d1' }, 'stored')
    const line = JSON.parse(lines[0] ?? '')
    expect(line).toMatchObject({
      level: 'info',
      name: 'api',
      gateway_id: 'g1',
      end_device_id: 'd1',
      subject: 'raw.d1',
      msg: 'stored',
    })
    expect(new Date(line.time).toISOString()).toBe(line.time)
  })

  test('R-8 writes the lines of its level and above; an unknown level means info', () => {
    const written = (level?: string) => {
      const { lines, logger } = capture(level)
      logger.debug('d')
      logger.info('i')
      logger.error('e')
      return lines.map((line) => JSON.parse(line).msg)
    }
    expect(written('debug')).toEqual(['d', 'i', 'e'])
    expect(written('error')).toEqual(['e'])
    expect(written('silent')).toEqual([])
    expect(written('loud')).toEqual(['i', 'e'])
    expect(written()).toEqual(['i', 'e'])
  })

  test('R-8 masks secret fields, and passwords in URLs within any text', () => {
    const { lines, logger } = capture()
    logger.info(
      { password: 'hunter2', gateway: { password: 'hunter2', broker: { token: 'hunter2' } }, user: 'ada' },
      'connecting to mqtts://ada:hunter2@broker:8883',
    )
    logger.error({ err: new Error('no answer from postgres://ponix:hunter2@db/ponix') }, 'failed')
    expect(lines.join('')).not.toContain('hunter2')
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ user: 'ada', msg: 'connecting to mqtts://ada:***@broker:8883' })
    expect(JSON.parse(lines[1] ?? '').err.message).toBe('no answer from postgres://ponix:***@db/ponix')
  })

  test('R-8 masks secret fields in lists, errors and the fields of a child logger, and changes no object', () => {
    const { lines, logger } = capture()
    const brokers = [{ apiKey: 'hunter2', topic: 't' }]
    const error = Object.assign(new Error('refused'), { password: 'hunter2', broker: { secret: 'hunter2' } })
    logger.child({ authorization: 'hunter2', service: 'mqtt' }).error({ brokers, err: error }, 'failed')
    logger.error(error)
    expect(lines.join('')).not.toContain('hunter2')
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      service: 'mqtt',
      authorization: '***',
      brokers: [{ apiKey: '***', topic: 't' }],
      err: { type: 'Error', message: 'refused', password: '***' },
    })
    expect(brokers[0]?.apiKey).toBe('hunter2')
    expect(error.password).toBe('hunter2')
  })

  test('R-7 masks secrets in texts and in objects', () => {
    expect(maskUrlSecrets('nats://token@a:1,nats://u:p@b:2 and http://c/?x=a@b')).toBe(
      'nats://***@a:1,nats://u:***@b:2 and http://c/?x=a@b',
    )
    const config = {
      broker_url: 'mqtt://u:p@h',
      username: 'u',
      Password: 'p',
      nested: [{ apiKey: 'k', topic: 't' }],
      n: 1,
    }
    expect(maskSecrets(config)).toEqual({
      broker_url: 'mqtt://u:***@h',
      username: 'u',
      Password: '***',
      nested: [{ apiKey: '***', topic: 't' }],
      n: 1,
    })
  })

  test.each([
    [{}, false, 'json', false],
    [{}, true, 'text', true],
    [{ PONIX_LOG_FORMAT: 'text' }, false, 'text', false],
    [{ PONIX_LOG_FORMAT: 'text', FORCE_COLOR: '1' }, false, 'text', true],
    [{ PONIX_LOG_FORMAT: 'text', FORCE_COLOR: '' }, false, 'text', true],
    [{ PONIX_LOG_FORMAT: 'text', FORCE_COLOR: '0' }, false, 'text', false],
    [{ PONIX_LOG_FORMAT: 'text', FORCE_COLOR: '1', NO_COLOR: '1' }, false, 'text', false],
    [{ NO_COLOR: '1' }, true, 'text', false],
    [{ FORCE_COLOR: '1' }, false, 'json', false],
    [{ PONIX_LOG_FORMAT: 'json' }, true, 'json', false],
  ] as const)('writes with %j and a terminal: %s, %s with colors: %s', (env, isTerminal, format, colors) => {
    expect(logStyle(env, isTerminal)).toEqual({ format, colors })
  })
})
