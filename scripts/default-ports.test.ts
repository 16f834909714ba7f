import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

it('docs/servers.md has the variable and the default of each port of the default graph', () => {
  const documented = [...read('docs/servers.md').matchAll(/^\| `(PONIX_\w+_PORT)` +\| (\d+) +\|/gm)]
  const text = read('commonplace.json').replaceAll('${PONIX_REPLICA:-0}', '0')
  const actual = [...text.matchAll(/\$\{(PONIX_\w+_PORT):-(\d+)\}/g)]
  const entries = (matches: readonly RegExpExecArray[]) =>
    Object.fromEntries(matches.map(([, name, port]) => [name, port]))
  expect(entries(documented)).toEqual(entries(actual))
})
