import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** The length of a line, including the newline. */
const LINE_BYTES = 100
const FILLING = 'x'
const NEWLINE = 0x0a
const NUMBER_DIGITS = 7
const LINES_PER_WRITE = 10_000
/** Matches a whole line after any prefix. */
const WHOLE_LINE = new RegExp(`L(\\d)-(\\d{${NUMBER_DIGITS}})-${FILLING}{${LINE_BYTES - 'L0-0000000-\n'.length}}$`)

/** Returns line `number` of child `child`: 99 characters, each line unique. */
function lineOf(child: number, number: number): string {
  return `L${child}-${String(number).padStart(NUMBER_DIGITS, '0')}-`.padEnd(LINE_BYTES - 1, FILLING)
}

/** Returns the path of a file of numbered lines, which a child writes with `cat`. The file is kept for later runs. */
export function lineFile(folder: string, child: number, lines: number): string {
  const path = join(folder, `lines-${child}-${lines}`)
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  const file = openSync(`${path}.part`, 'w')
  for (let from = 0; from < lines; from += LINES_PER_WRITE) {
    const count = Math.min(LINES_PER_WRITE, lines - from)
    const block = Array.from({ length: count }, (_, index) => lineOf(child, from + index))
    writeSync(file, `${block.join('\n')}\n`)
  }
  closeSync(file)
  renameSync(`${path}.part`, path)
  return path
}

/** Numbers of damaged lines; all are zero for a perfect relay. */
export interface Damage {
  readonly lost: number
  /** Lines that are not exactly one whole line after the prefix: a part of a line, or several lines merged. */
  readonly torn: number
  /** Lines that do not directly follow the preceding line of the same child. */
  readonly misplaced: number
}

/**
 * Compares the output of a contender with the lines of the children. Each child has one prefix, which may be any text; lines
 * without any part of a child's line are messages of the contender itself.
 */
export function inspect(path: string, children: number, lines: number): Damage {
  const output = readFileSync(path)
  const prefixes = new Map<string, string>()
  const next = Array.from({ length: children }, () => 0)
  let [torn, misplaced, good] = [0, 0, 0]
  for (let from = 0; from < output.length;) {
    const newline = output.indexOf(NEWLINE, from)
    const end = newline < 0 ? output.length : newline
    const line = output.toString('latin1', from, end)
    from = end + 1
    const [, child, number] = WHOLE_LINE.exec(line) ?? []
    if (child === undefined || number === undefined) {
      if (/xx|L\d-\d/.test(line)) torn++
      continue
    }
    const prefix = line.slice(0, 1 - LINE_BYTES)
    const known = prefixes.get(child) ?? prefix
    prefixes.set(child, known)
    if (prefix !== known || !line.endsWith(lineOf(Number(child), Number(number)))) {
      torn++
      continue
    }
    good++
    if (Number(number) !== next[Number(child)]) misplaced++
    next[Number(child)] = Number(number) + 1
  }
  return { lost: children * lines - good, torn, misplaced }
}

/** Returns a short description; empty for a perfect relay. */
export function describeDamage({ lost, torn, misplaced }: Damage): string {
  return Object.entries({ lost, torn, misplaced })
    .filter(([, count]) => count !== 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ')
}
