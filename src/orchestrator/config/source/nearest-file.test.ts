import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { emptyFolder } from '../../../../test/rig/empty-folder.ts'
import { foreignFile, nearestFile } from './nearest-file.ts'

/** Any user but the owner of the files, who must not be root: root's files are trusted. */
const OWNER = 12_345
const STRANGER = 54_321

/** Creates `commonplace.json` in the folders `outer` and `outer/inner`, and the folder `outer/inner/work` below them. */
function folders(): { readonly outer: string; readonly inner: string; readonly work: string; readonly owner: number } {
  const outer = emptyFolder()
  const inner = join(outer, 'inner')
  const work = join(inner, 'work')
  mkdirSync(work, { recursive: true })
  chmodSync(outer, 0o755)
  for (const folder of [outer, inner]) writeFileSync(join(folder, 'commonplace.json'), '{}')
  if (process.getuid?.() === 0)
    for (const folder of [outer, inner]) chownSync(join(folder, 'commonplace.json'), OWNER, OWNER)
  return { outer, inner, work, owner: statSync(join(inner, 'commonplace.json')).uid }
}

test('the nearest file above is used if it belongs to the user', () => {
  const { work, owner } = folders()
  expect(nearestFile({ cwd: work, uid: owner })).toBe('../commonplace.json')
  expect(foreignFile({ cwd: work, uid: owner })).toBeNull()
})

test('a file above that belongs to another user is not used, and reported', () => {
  const { work } = folders()
  expect(nearestFile({ cwd: work, uid: STRANGER })).toBe('commonplace.json')
  expect(foreignFile({ cwd: work, uid: STRANGER })).toBe('../commonplace.json')
})

test('the file of the working directory is used with any owner', () => {
  const { inner } = folders()
  expect(nearestFile({ cwd: inner, uid: STRANGER })).toBe('commonplace.json')
})

test('without a file, it is the one in the working directory', () => {
  const { work } = folders()
  expect(nearestFile({ cwd: work, exists: () => false })).toBe('commonplace.json')
})
