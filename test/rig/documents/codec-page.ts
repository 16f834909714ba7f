import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { projectRoot } from '../program.ts'
import { CodecFolder } from '../services/codec-folder.ts'
import { blocksOf, commandsIn, shellWords } from './document-commands.ts'

const path = 'docs/decoders.md'
const page = await readFile(join(projectRoot, path), 'utf8')
const section = { path, text: page.split(/^(?=## )/m).find((part) => part.startsWith('## Codecs as files\n')) ?? '' }

const [codec = ''] = blocksOf('cel', section)
const [report = ''] = blocksOf('text', section)

/** The samples that the section "Codecs as files" shows. */
export const [shownSamples = ''] = blocksOf('json5', section)

/** The report of a failed sample that the section shows. */
export const shownReport = `${report.trim()}\n`

/** The arguments of the commands of `ponix-codec` that the section shows. */
export const shownCommands = commandsIn(section)
  .map(({ text }) => shellWords(text))
  .filter(([npx, program]) => npx === 'npx' && program === 'ponix-codec')
  .map(([, , ...args]) => args)

/** Returns a folder with the files of the section. */
export function folderOfPage(samples = shownSamples): CodecFolder {
  return new CodecFolder({ 'codec.cel': codec, 'examples.json': samples })
}
