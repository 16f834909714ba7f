import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { format, type FormatConfig } from 'oxfmt'
import { expect } from 'vitest'
import { projectRoot } from '../program.ts'

/** Returns the text in the format of the project. `path` determines the language. */
export async function formatted(path: string, text: string): Promise<string> {
  const options: FormatConfig = JSON.parse(await readFile(join(projectRoot, '.oxfmtrc.json'), 'utf8'))
  const { code, errors } = await format(path, text, options)
  expect(errors).toEqual([])
  return code
}

/** Returns a table in Markdown; the first row is the header. */
export function markdownTable([header = [], ...rows]: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Returns the document with this text between `<!-- NAME -->` and `<!-- /NAME -->`, for a comparison with its file. */
export async function withGeneratedSection(path: string, name: string, text: string): Promise<string> {
  const [before, rest = ''] = (await readFile(path, 'utf8')).split(`<!-- ${name} -->`)
  const [, after] = rest.split(`<!-- /${name} -->`)
  return formatted(path, `${before}<!-- ${name} -->\n\n${text}\n\n<!-- /${name} -->${after}`)
}
