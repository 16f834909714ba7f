import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { EXPORTS, IMPORTS } from './quickjs.ts'

const glue = readFileSync(
  createRequire(import.meta.url)
    .resolve('@jitl/quickjs-wasmfile-release-sync/emscripten-module')
    .replace(/cjs$/, 'mjs'),
  'utf8',
)

test('the names of exports are those of the installed package', () => {
  const { stackSave, stackRestore, ...functions } = EXPORTS
  for (const [name, short] of Object.entries(functions)) expect(glue).toContain(`d._${name}=b.${short};`)
  // The pointer is saved before a call with texts on the stack and restored after it.
  const [, save, restore] = /\(0===h&&\(h=(\w+)\(\)\).*?0!==h&&(\w+)\(h\)/s.exec(glue) ?? []
  expect(glue).toContain(`${save}=b.${stackSave};`)
  expect(glue).toContain(`${restore}=b.${stackRestore};`)
})

test.for(Object.entries(IMPORTS))(
  'the import %s is the function with "%s" of the installed package',
  ([short, text]) => {
    const table = glue.slice(glue.indexOf('xa={b:'))
    const start = table.search(new RegExp(`[,{]${short}:`))
    expect(start).toBeGreaterThan(0)
    expect(table.slice(start).slice(3, 700)).toContain(text)
  },
)
