import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { isCodecName, readText } from './codec-file.ts'
import { unreadable } from './located-document.ts'

/** Scripts in folders of codecs that are not codecs. */
const NOT_CODECS = /\.(config|test|spec)\.\w+$/
const SKIPPED_FOLDERS = /^(node_modules$|\.)/

/**
 * Returns the paths of the codecs in the arguments of a command; a folder contains those of its subfolders. Throws a FileError for an
 * argument that does not exist or is neither a folder nor a codec.
 */
export async function findCodecs(path: string): Promise<readonly string[]> {
  if (!(await isFolder(path))) return [path]
  const found: string[] = []
  for (const entry of (await readdir(path, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const inner = join(path, entry.name)
    if (entry.isDirectory() && !SKIPPED_FOLDERS.test(entry.name)) found.push(...(await findCodecs(inner)))
    if (entry.isFile() && isCodecName(inner) && !NOT_CODECS.test(entry.name)) found.push(inner)
  }
  return found
}

/** Returns the files of samples that belong to a codec, by their names (see docs/decoders.md). */
export async function findSampleFiles(codec: string): Promise<readonly string[]> {
  const folder = dirname(codec)
  const file = basename(codec)
  const name = basename(codec, extname(codec))
  const names = (await readdir(folder)).toSorted()
  const byName = [`examples`, `${name}.examples`, `test_decode_${name}`]
  const found = names.filter((each) => byName.some((stem) => each === `${stem}.json` || each === `${stem}.json5`))
  const described: string[] = []
  for (const each of names) {
    if (/\.ya?ml$/.test(each) && describes(await readText(join(folder, each)), file)) described.push(each)
  }
  return [...found, ...described].map((each) => join(folder, each))
}

/** Returns whether a YAML file is the `codec.yaml` of this codec, without the cost of a parser for each device of a vendor. */
function describes(text: string, codec: string): boolean {
  const [, block = ''] = /^uplinkDecoder:[^\n]*\n((?:[ \t#][^\n]*\n|\r?\n)*)/m.exec(`${text}\n`) ?? []
  const [, fileName = ''] = /^\s+fileName:\s*(.*?)\s*(?:#.*)?$/m.exec(block) ?? []
  return fileName.replaceAll(/^["']|["']$/g, '') === codec
}

async function isFolder(path: string): Promise<boolean> {
  if (isCodecName(path) && !path.includes('.')) return false
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    throw unreadable(path, error)
  }
}
