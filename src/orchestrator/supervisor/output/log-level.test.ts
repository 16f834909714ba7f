import { describe, expect, it } from 'vitest'
import { isAtLeast, levelOfLine, logLevels } from './log-level.ts'

describe('levelOfLine (O-45)', () => {
  it.each([
    ['{"level":30,"time":1,"msg":"pino"}', 'info'],
    ['{"name":"bunyan","hostname":"h","pid":1,"level":50,"msg":"x","time":"2026-01-31T08:30:00Z","v":0}', 'error'],
    ['{"level":10}', 'trace'],
    ['{"level":35}', 'info'],
    ['{"level":60}', 'fatal'],
    ['{"level":90}', 'fatal'],
    ['{"level":"warn","msg":"x"}', 'warn'],
    ['{"level":"WARNING"}', 'warn'],
    ['{"severity":"CRITICAL","message":"x"}', 'fatal'],
    ['{"log.level":"error"}', 'error'],
    ['{"request":{"level":50},"level":20}', 'debug'],
    ['level=warn msg="slow answer"', 'warn'],
    ['time=2026-01-31T08:30:00Z level=error msg=x', 'error'],
    ['ts=1 lvl="info" caller=main.go:1', 'info'],
    ['\u001b[36mlevel\u001b[0m=\u001b[33mwarn\u001b[0m msg=x', 'warn'],
  ])('%s has the level %s', (line, level) => expect(levelOfLine(line)).toBe(level))

  it.each([
    '',
    'plain text',
    'WARN in the text',
    'loglevel=warn',
    'level=loud',
    'level=warning!',
    '{"level":3}',
    '{"level":null}',
    '{"level":"loud"}',
    '{"msg":"\\"level\\":50"}',
    '{"request":{"level":50}}',
    '{"level":50',
    '{}',
    '["level"]',
    '{"level":"constructor"}',
  ])('%s has none', (line) => expect(levelOfLine(line)).toBeNull())
})

it('a level includes the levels above it (O-45)', () => {
  expect(logLevels.filter((level) => isAtLeast(level, 'warn'))).toEqual(['warn', 'error', 'fatal'])
})
