import { describe, expect, it } from 'vitest'
import { isNewer, type Version } from './version.ts'

const commit = (lsn: bigint, index = 0, transactionId = 7): Version => ({ type: 'commit', lsn, index, transactionId })
const read = (lsn: bigint, ...inProgress: number[]): Version => ({ type: 'read', lsn, inProgress: new Set(inProgress) })

describe('isNewer', () => {
  it.each([
    ['a later commit', commit(11n), commit(10n, 5), true],
    ['an earlier commit', commit(9n, 5), commit(10n), false],
    ['the same change', commit(10n), commit(10n), false],
    ['a later change of the same transaction', commit(10n, 1), commit(10n), true],
    ['a commit before the read', commit(9n), read(10n), false],
    ['a commit at the position of the read', commit(10n), read(10n), true],
    ['a commit before the read whose transaction was in progress', commit(9n), read(10n, 6, 7), true],
    ['a read after the commit', read(10n), commit(9n), true],
    ['a read before the commit', read(10n), commit(10n), false],
    ['a read during which the transaction was in progress', read(10n, 7), commit(9n), false],
    ['a later read', read(11n), read(10n), true],
    ['another read at the same position', read(10n), read(10n), true],
    ['an earlier read', read(9n), read(10n), false],
  ])('G-5: compares %s', (_case, next, known, expected) => {
    expect(isNewer(next, known)).toBe(expected)
  })
})
