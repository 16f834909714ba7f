import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { describeDamage, inspect, lineFile } from './lines.ts'

let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ponix-lines-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

/** Returns the damage that `relay` does to three lines of each of two children. */
function damageBy(relay: (lines: string[]) => string[]): string {
  const lines = [0, 1].flatMap((child) =>
    readFileSync(lineFile(folder, child, 3), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => `[c${child}] ${line}`),
  )
  const path = join(folder, 'output')
  writeFileSync(path, relay(lines).join('\n'))
  return describeDamage(inspect(path, 2, 3))
}

describe('inspect', () => {
  it('accepts whole lines in the order of each child, with other lines between them', () => {
    expect(damageBy((lines) => ['hello', ...lines, ''])).toBe('')
    expect(damageBy(([a = '', b = '', c = '', ...rest]) => [a, ...rest, b, c, ''])).toBe('')
  })

  it('counts missing, torn, merged and misplaced lines', () => {
    expect(damageBy((lines) => lines.slice(0, -1))).toBe('1 lost')
    expect(damageBy(([first = '', ...rest]) => [first.slice(0, 50), `[c0] ${first.slice(50)}`, ...rest])).toBe(
      '1 lost, 2 torn, 1 misplaced',
    )
    expect(damageBy(([a = '', b = '', ...rest]) => [a + b, ...rest])).toBe('2 lost, 1 torn, 1 misplaced')
    expect(damageBy(([a = '', b = '', ...rest]) => [b, a, ...rest])).toBe('3 misplaced')
  })
})
