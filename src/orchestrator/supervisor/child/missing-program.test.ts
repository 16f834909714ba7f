import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeMissingProgram } from './missing-program.ts'

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ponix-path-'))
  await mkdir(join(folder, 'bin', 'serverd'), { recursive: true })
  for (const name of ['server', 'tac', 'zest']) {
    await writeFile(join(folder, 'bin', name), '')
    await chmod(join(folder, 'bin', name), 0o755)
  }
  await writeFile(join(folder, 'bin', 'servers.txt'), '')
  for (let n = 0; n < 6; n++) await mkdir(join(folder, `empty${n}`))
})

afterAll(() => rm(folder, { recursive: true }))

describe('the message about a program that PATH does not have', () => {
  test.each([
    ['a missing letter', 'serer', '; did you mean "server"?'],
    ['two exchanged letters', 'sevrer', '; did you mean "server"?'],
    ['a folder and a file that is not executable', 'serverd', '; did you mean "server"?'],
    ['a short name', 'tsc', ''],
    ['another first letter', 'jest', ''],
    ['a different name', 'postgres', ''],
  ])('suggests a similar program: %s', (_case, command, hint) => {
    expect(describeMissingProgram(command, [join(folder, 'bin')])).toBe(
      `"${command}" was not found on PATH (searched ${folder}/bin)${hint}`,
    )
  })

  test('lists up to five folders that exist, each once, and counts more than five', () => {
    const [bin, missing] = [join(folder, 'bin'), join(folder, 'missing')]
    const empty = [0, 1, 2, 3, 4].map((n) => join(folder, `empty${n}`))
    const searched = (...folders: readonly string[]) =>
      /\(searched (.*)\)/.exec(describeMissingProgram('x', folders))?.[1]
    expect(searched(bin, missing, bin, ...empty.slice(1))).toBe([bin, ...empty.slice(1)].join(', '))
    expect(searched(bin, missing, bin, ...empty)).toBe('6 folders')
    expect(searched(missing)).toBe('no folder, because none of PATH exists')
  })
})
