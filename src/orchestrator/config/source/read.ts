import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, isAbsolute, join, parse, resolve } from 'node:path'
import { codeOf, ConfigError, describeFileError, JsonSyntaxError } from '../errors.ts'
import { entryOf, type JsonNode, positionOf, type SourceText, toValue } from './json-source.ts'
import { excerpt, ProblemList } from './problems.ts'
import { ownCommand } from '../own-command.ts'
import { parseJson } from './json-parser.ts'
import { mergeJson } from './merge.ts'
import { missingFile } from './missing-file.ts'

/** A configuration that consists of one or several files. */
export interface ConfigSource {
  /** The merged files, without `extends`. Each node has the position in its file. */
  readonly root: JsonNode
  /** The files before the merge: each after the files that it extends, the local file last. */
  readonly files: readonly JsonNode[]
}

const convertHint = () => `"${ownCommand('init --from FILE')}" converts a Compose file`

/** The limit of files, which bounds a chain of `extends` that multiplies. */
const MAX_FILES = 100

/**
 * Reads a configuration file with the files that it extends, and its local file if there is one: `x.local.json` beside
 * `x.json`. `path` is the path as typed. Throws a ConfigError if one of the files cannot be read or is not JSON.
 */
export function readConfigSource(path: string): ConfigSource {
  const files: JsonNode[] = []
  const main = readWithBases(openMain(path), [], files)
  const local = readLocal(path)
  if (local === null) return { root: main, files }
  if (entryOf(local, 'extends') !== undefined) {
    reject(local, `is not possible in a local file; write it in ${path}`)
  }
  return { root: mergeJson(main, local), files: [...files, local] }
}

/** Adds the file and its bases to `files`, and merges them. `chain` are the files that lead to this one, outermost first. */
function readWithBases(root: JsonNode, chain: readonly SourceText[], files: JsonNode[]): JsonNode {
  const { source } = root
  const through = [...chain, source]
  const bases = extendedNames(root).map((name, index, { length }) => {
    const at = length === 1 && entryOf(root, 'extends')?.value.type === 'scalar' ? [] : [index]
    const path = isAbsolute(name) ? name : join(dirname(source.name), name)
    const cycle = through.findIndex((earlier) => samePath(earlier.name, path))
    if (cycle !== -1) {
      const names = [...through.slice(cycle).map((earlier) => earlier.name), path]
      reject(root, `a file extends itself: ${names.join(' → ')}`, at)
    }
    if (files.length + through.length >= MAX_FILES) reject(root, `more than ${MAX_FILES} files are extended`, at)
    return readWithBases(openBase(root, path, at), through, files)
  })
  files.push(root)
  const [first, ...others] = [...bases, withoutExtends(root)]
  return others.reduce(mergeJson, first ?? root)
}

/** Returns the value of `extends` as a list. */
function extendedNames(root: JsonNode): readonly string[] {
  const entry = entryOf(root, 'extends')
  if (entry === undefined) return []
  const names: unknown[] = [toValue(entry.value)].flat()
  const isName = (name: unknown): name is string => typeof name === 'string' && name !== ''
  if (!names.every(isName)) {
    const problems = new ProblemList(root, [root.source])
    problems.expected(['extends'], 'the path of a file, or a list of paths')
    problems.throwIfAny()
    return []
  }
  const index = names.findIndex((name) => name.includes('${'))
  if (index !== -1) {
    reject(
      root,
      'variables are not possible here; write the path of the file',
      entry.value.type === 'array' ? [index] : [],
    )
  }
  return names
}

function withoutExtends(root: JsonNode): JsonNode {
  return root.type === 'object' ? { ...root, entries: root.entries.filter(({ key }) => key !== 'extends') } : root
}

/** Throws a ConfigError at the key `extends` of a file. */
function reject(root: JsonNode, message: string, at: readonly number[] = []): never {
  const problems = new ProblemList(root, [root.source])
  problems.add(['extends', ...at], message)
  problems.throwIfAny()
  throw new Error('unreachable: the list has a problem')
}

function openMain(path: string): JsonNode {
  try {
    return parseFile(path, readFileSync(path))
  } catch (error) {
    if (codeOf(error) === null) throw error
    throw new ConfigError(missingFile(path, error), [], { cause: error })
  }
}

function openBase(root: JsonNode, path: string, at: readonly number[]): JsonNode {
  try {
    const bytes = readRegularFile(path)
    return bytes === null ? reject(root, `${path} is not a regular file`, at) : parseFile(path, bytes)
  } catch (error) {
    if (codeOf(error) === null) throw error
    return reject(root, `${path} ${describeFileError(error)}`, at)
  }
}

/** Reads the local file beside a file; null if there is none. */
function readLocal(path: string): JsonNode | null {
  const { dir, name, ext } = parse(path)
  if (name.endsWith('.local')) return null
  const local = join(dir, `${name}.local${ext}`)
  try {
    const bytes = readRegularFile(local)
    if (bytes === null) throw new ConfigError(`${local} is not a regular file; remove or rename it`)
    return parseFile(local, bytes)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null
    if (codeOf(error) === null) throw error
    throw new ConfigError(`${local} ${describeFileError(error)}`, [], { cause: error })
  }
}

/** Reads a file; null if it is not a regular one, such as a named pipe, which would block. */
function readRegularFile(path: string): Buffer | null {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    return fstatSync(file).isFile() ? readFileSync(file) : null
  } finally {
    closeSync(file)
  }
}

function parseFile(path: string, bytes: Buffer): JsonNode {
  const source = { name: path, folder: dirname(resolve(path)), text: decode(path, bytes) }
  try {
    return parseJson(source)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    const { offset } = error
    const message = /\.ya?ml$/.test(path) ? `${error.message}; ${convertHint()}` : error.message
    const position = positionOf(source.text, offset)
    const shown = `${path}:${position.line}:${position.column}: ${message}\n${excerpt(source, offset)}`
    throw new ConfigError(shown, [{ file: path, path: '', ...position, message }], { cause: error })
  }
}

function decode(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new ConfigError(`${path} is not UTF-8 text`, [], { cause: error })
  }
}

function samePath(a: string, b: string): boolean {
  return realPath(a) === realPath(b)
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}
