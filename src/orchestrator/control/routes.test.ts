import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, type FormatConfig } from 'oxfmt'
import { expect, test } from 'vitest'
import { routes } from './routes.ts'

const root = join(import.meta.dirname, '..', '..', '..')

test('the table of requests in docs/control.md is generated from the routes (-u writes it)', async () => {
  const path = join(root, 'docs', 'control.md')
  const [before, rest = ''] = readFileSync(path, 'utf8').split('<!-- routes -->')
  const [, after] = rest.split('<!-- /routes -->')
  const rows = routes.map(
    ({ method, path, parameters = '', action, answer }) =>
      `| \`${method} ${path}\` | ${parameters} | ${action} | ${answer} |`,
  )
  const table = ['| request | parameters | what it does | answer |', '| --- | --- | --- | --- |', ...rows].join('\n')
  const options: FormatConfig = JSON.parse(readFileSync(join(root, '.oxfmtrc.json'), 'utf8'))
  const text = `${before}<!-- routes -->\n\n${table}\n\n<!-- /routes -->${after}`
  const { code, errors } = await format(path, text, options)
  expect(errors).toEqual([])
  await expect(code).toMatchFileSnapshot(path)
})
