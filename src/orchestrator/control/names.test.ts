import { describe, expect, it } from 'vitest'
import { resolveNames, selectNames } from './names.ts'

const names = ['api', 'web', 'web-admin', 'worker#1', 'worker#2', 'job']

describe('a requested name', () => {
  it.each<[string, readonly string[]]>([
    ['api', ['api']],
    ['worker', ['worker#1', 'worker#2']],
    ['worker#2', ['worker#2']],
    ['all', names],
    ['*', names],
    ['web*', ['web', 'web-admin']],
    ['w*r', ['worker#1', 'worker#2']],
    ['*#1', ['worker#1']],
    ['*e*', ['web', 'web-admin', 'worker#1', 'worker#2']],
    ['?ob', ['job']],
    ['???', ['api', 'web', 'job']],
    ['w*b*m*n', ['web-admin']],
    ['web?', []],
    ['wep', []],
    ['[jm]ob', []],
  ])('%j selects %j', (requested, expected) => {
    expect(selectNames(requested, names)).toEqual(expected)
  })

  it('"all" selects only the process of this name if there is one', () => {
    expect(selectNames('all', ['api', 'all'])).toEqual(['all'])
    expect(selectNames('all', ['api', 'all#1', 'all#2'])).toEqual(['all#1', 'all#2'])
  })

  it('is matched in a time that many asterisks do not multiply', () => {
    expect(selectNames(`${'*a'.repeat(5000)}b`, ['a'.repeat(2000)])).toEqual([])
  })
})

describe('resolveNames', () => {
  const isRunning = (name: string) => name !== 'web' && name !== 'job'

  it('returns each process once', () => {
    expect(resolveNames(['web', 'w*', 'worker#2'], names)).toEqual(['web', 'web-admin', 'worker#1', 'worker#2'])
  })

  it('omits the processes of a pattern that are not selectable, and keeps those that are named', () => {
    expect(resolveNames(['all'], names, isRunning)).toEqual(['api', 'web-admin', 'worker#1', 'worker#2'])
    expect(resolveNames(['web*', 'job'], names, isRunning)).toEqual(['web-admin', 'job'])
  })

  it.each([
    ['wbe', 'unknown process "wbe"; did you mean "web"?'],
    ['wrker', 'unknown process "wrker"; did you mean "worker"?'],
    ['nothing', 'unknown process "nothing"; the processes are api, web, web-admin, worker#1, worker#2, job'],
    ['wbe*', 'no process matches "wbe*"; the processes are api, web, web-admin, worker#1, worker#2, job'],
    ['j*', '"j*" selects no stopped or disabled process (job); start them by name first'],
  ])('rejects %j with %j', (requested, message) => {
    expect(() => resolveNames(['api', requested], names, isRunning)).toThrow(message)
  })
})
