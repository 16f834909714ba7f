import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { sourceSizeError, type Codec, type CodecKind } from '../../src/domain/codecs/codec.ts'
import { FileError, unreadable } from './located-document.ts'

/** The codec that is built in and has no file. */
const BUILT_IN = 'cayenne_lpp'

const KINDS: Readonly<Record<string, CodecKind>> = {
  '.cel': 'cel',
  '.js': 'javascript',
  '.mjs': 'javascript',
  '.cjs': 'javascript',
}

/** A codec and the place that it was read from. */
export interface CodecFile {
  /** The path as the user gave it, or `cayenne_lpp`. */
  readonly path: string
  readonly codec: Codec
}

/** Returns whether the name is that of a codec: a file with a known extension, or `cayenne_lpp`. */
export function isCodecName(path: string): boolean {
  return path === BUILT_IN || KINDS[extname(path)] !== undefined
}

/** Reads a codec; its extension determines its language. Throws a FileError. */
export async function readCodec(path: string): Promise<CodecFile> {
  if (path === BUILT_IN) return { path, codec: { kind: 'cayenne_lpp', source: '' } }
  const kind = KINDS[extname(path)]
  if (kind === undefined) throw new FileError(path, undefined, `expected a .cel or .js file, or ${BUILT_IN}`)
  const codec: Codec = { kind, source: await readText(path) }
  const tooLong = sourceSizeError(codec)
  if (tooLong !== undefined) throw new FileError(path, undefined, tooLong)
  return { path, codec }
}

/** Reads a text file, without a byte order mark. Throws a FileError. */
export async function readText(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).replace(/^\uFEFF/, '')
  } catch (error) {
    throw unreadable(path, error)
  }
}
