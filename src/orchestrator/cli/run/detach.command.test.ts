import { describe, expect, it } from 'vitest'
import { backgroundArguments, defaultLogFile } from './detach.ts'

describe('the arguments of the background orchestrator', () => {
  it.each([
    [[], []],
    [['-d'], []],
    [
      ['--config', 'x.json', 'run', '--detach', '--wait', '--only', 'a'],
      ['--config', 'x.json', 'run', '--only', 'a'],
    ],
    [
      ['run', '-d', '--log-file', 'mine.log', '--no-watch'],
      ['run', '--no-watch'],
    ],
    [['run', '--log-file=mine.log', '-d'], ['run']],
  ])('for %j are %j, the log file and --detached', (typed, expected) => {
    expect(backgroundArguments(typed, '/x.log')).toEqual([...expected, '--log-file', '/x.log', '--detached'])
  })

  it('stand before the end of the options', () => {
    expect(backgroundArguments(['run', '-d', '--'], '/x.log')).toEqual([
      'run',
      '--log-file',
      '/x.log',
      '--detached',
      '--',
    ])
  })
})

describe('the default log file', () => {
  const folder = { path: '/run/0123456789abcdef', lockPath: '', recordPath: '', socketPath: '' }

  it.each([
    ['/home/me/shop/commonplace.json', '/state/ponix-orchestrator/shop-01234567.log'],
    ['/home/me/my shop/dev.json', '/state/ponix-orchestrator/my_shop-dev-01234567.log'],
    ['/commonplace.json', '/state/ponix-orchestrator/root-01234567.log'],
  ])('of %s is %s', (configPath, expected) => {
    expect(defaultLogFile(configPath, folder, { XDG_STATE_HOME: '/state' })).toBe(expected)
  })

  it('is in the home folder without XDG_STATE_HOME', () => {
    expect(defaultLogFile('/a/commonplace.json', folder, {})).toMatch(
      /\/\.local\/state\/ponix-orchestrator\/a-01234567\.log$/,
    )
  })
})
