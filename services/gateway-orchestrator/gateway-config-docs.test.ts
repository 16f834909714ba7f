import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { GATEWAY_CONFIG_KEYS } from '../../src/domain/gateway-config.ts'

const text = readFileSync(new URL('../../docs/gateways.md', import.meta.url), 'utf8')

/** Returns the cells of the rows of the first table after the text, without the head. */
function rowsAfter(start: string): readonly (readonly string[])[] {
  const [, rest = ''] = text.split(start)
  const lines = rest.split('\n')
  const first = lines.findIndex((line) => line.startsWith('|'))
  const end = lines.findIndex((line, index) => index > first && !line.startsWith('|'))
  return lines.slice(first + 2, end).map((line) => line.split(/ *\| */).slice(1, -1))
}

/** Returns the names in a cell: `` `cert`, `key` ``. */
function names(cell = ''): readonly string[] {
  return [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name)
}

test('G-16 docs/gateways.md has the keys of each type of gateway, and no others', () => {
  const common = rowsAfter('have these keys:\n').flatMap(([keys]) => names(keys))
  const further = rowsAfter('\nand these:\n').flatMap(([keys, types]) =>
    names(types).flatMap((type) => names(keys).map((key) => ({ type, key }))),
  )
  const documented = rowsAfter('## Types\n').flatMap(([types]) => names(types))
  expect(documented.toSorted()).toEqual(Object.keys(GATEWAY_CONFIG_KEYS).toSorted())
  const keysOf = (type: string) => [...common, ...further.filter((row) => row.type === type).map(({ key }) => key)]
  for (const [type, schema] of Object.entries(GATEWAY_CONFIG_KEYS).filter(([name]) => name !== 'print')) {
    expect({ type, keys: keysOf(type).toSorted() }).toEqual({ type, keys: Object.keys(schema ?? {}).toSorted() })
  }
})
