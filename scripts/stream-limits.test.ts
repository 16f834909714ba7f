import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const page = readFileSync(join(fileURLToPath(new URL('..', import.meta.url)), 'docs/operations.md'), 'utf8')

const LIMIT_BYTES = 10 * 2 ** 30
const SIZES_BYTES = [200, 1024, 10 * 1024, 100 * 1024]

/** Returns the hours that a stream of 10 GiB lasts, with two significant digits. */
function hours(messagesPerSecond: number, bytes: number): string {
  const exact = LIMIT_BYTES / (messagesPerSecond * bytes) / 3600
  return `${Number(exact.toPrecision(2)).toLocaleString('en-GB', { maximumSignificantDigits: 2 })} h`
}

it('docs/operations.md shows how long 10 GiB last for each rate and size', () => {
  const rows = [...page.matchAll(/^\| +([\d,]+) \|(.* h) \|$/gm)].map(([, rate = '', cells = '']) => ({
    rate: Number(rate.replaceAll(',', '')),
    cells: cells.split('|').map((cell) => cell.trim()),
  }))
  expect(rows.map(({ rate }) => rate)).toEqual([10, 100, 1000, 10_000])
  for (const { rate, cells } of rows) expect(cells).toEqual(SIZES_BYTES.map((bytes) => hours(rate, bytes)))
})
