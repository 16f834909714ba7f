import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { blocksOf, commandsIn, shellWords } from '../../test/rig/documents/document-commands.ts'
import { projectRoot } from '../../test/rig/program.ts'
import { CodecFolder } from '../../test/rig/services/codec-folder.ts'

const path = 'docs/decoders.md'
const page = await readFile(join(projectRoot, path), 'utf8')
const section = { path, text: page.split(/^(?=## )/m).find((part) => part.startsWith('## Codecs as files\n')) ?? '' }

const [codec = ''] = blocksOf('cel', section)
const [samples = ''] = blocksOf('json5', section)
const [report = ''] = blocksOf('text', section)
const commands = commandsIn(section)
  .map(({ text }) => shellWords(text))
  .filter(([npx, program]) => npx === 'npx' && program === 'ponix-codec')
  .map(([, , ...args]) => args)

/** Returns a folder with the files of the section. */
function folderOfPage(examples = samples): CodecFolder {
  return new CodecFolder({ 'codec.cel': codec, 'examples.json': examples })
}

describe('P-13: docs/decoders.md, "Codecs as files"', () => {
  it('shows commands', () => {
    expect(new Set(commands.map(([command]) => command))).toEqual(new Set(['run', 'test']))
  })

  it.each(commands.map((args) => [args.join(' '), args]))('ponix-codec %s succeeds', async (_line, args) => {
    expect(await folderOfPage().run(...args)).toMatchObject({ code: 0, stderr: '' })
  })

  it('shows the report of a failed sample', async () => {
    const { code, stdout } = await folderOfPage(samples.replace('-3.1', '-3.2')).run('test', '.')
    expect({ code, stdout }).toEqual({ code: 1, stdout: `${report.trim()}\n` })
  })
})
