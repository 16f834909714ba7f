import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { BurstWriter } from './burst-writer.ts'

function scene() {
  const written: string[] = []
  return { written, writer: new BurstWriter((text) => void written.push(text)) }
}

test('G-12: the first text of a turn is written immediately, and the further ones together at its end', async () => {
  const { written, writer } = scene()
  for (const text of ['1', '2', '3']) writer.write(text)
  expect(written).toEqual(['1'])
  await nextTurn()
  expect(written).toEqual(['1', '23'])
  writer.write('4')
  expect(written).toEqual(['1', '23', '4'])
})

test('G-12: a long turn keeps a bounded number of characters', () => {
  const { written, writer } = scene()
  const line = 'x'.repeat(1024)
  for (let number = 0; number < 100; number += 1) writer.write(line)
  expect(written.map(({ length }) => length)).toEqual([1024, 32_768, 32_768, 32_768])
})

test('G-12: flush writes what waits, as at the exit of the process', () => {
  const { written, writer } = scene()
  for (const text of ['1', '2']) writer.write(text)
  writer.flush()
  expect(written).toEqual(['1', '2'])
})
