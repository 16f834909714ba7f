import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** With its newline. */
const LINE_BYTES = 100
const FILLING = 'x'
const NEWLINE = 0x0a
const NUMBER_DIGITS = 7
const LINES_PER_WRITE = 10_000
/** Under any prefix. */
const WHOLE_LINE = new RegExp(`L(\\d)-(\\d{${NUMBER_DIGITS}})-${FILLING}{${LINE_BYTES - 'L0-0000000-\n'.length}}$`)

/** Line `number` of child `child`: 99 characters, no two alike. */
function lineOf(child: number, number: number): string {
  return `L${child}-${String(number).padStart(NUMBER_DIGITS, '0')}-`.padEnd(LINE_BYTES - 1, FILLING)
}

/** A file of numbered lines, for `cat` to write out as fast as anything can. Kept for the next time. */
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

/** What became of the lines: all zero is a perfect relay. */
export interface Damage {
  readonly lost: number
  /** Not one whole line under its prefix: pieces, or several in one. */
  readonly torn: number
  /** Not after the line that came before it. */
  readonly misplaced: number
}

/**
 * Compares what a contender wrote with what the children said. Each child has one prefix, whatever it is; other lines are
 * the contender's own words, unless something of a child's line is in them.
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

/** In a few words, or an empty text for a perfect relay. */
export function describeDamage({ lost, torn, misplaced }: Damage): string {
  return Object.entries({ lost, torn, misplaced })
    .filter(([, count]) => count !== 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ')
}
