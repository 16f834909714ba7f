import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Document {
  /** The path, relative to the root of the project. */
  readonly path: string
  readonly text: string
}

export interface Command {
  readonly path: string
  readonly text: string
}

/** Inline code is a command if it begins with one of these programs and has at least one argument. */
const PROGRAMS =
  /^(\w+=\S+ )*(sudo|npm|npx|node|ponix-[a-z-]+|docker|apt|brew|curl|grpcurl|mosquitto_pub|systemctl|kubectl|journalctl) /

/** Commands that a test does not run, and the reason. */
export type Exceptions = readonly (readonly [command: RegExp, reason: string])[]

/** The documents of the supervisor: the pages with these names, and the first half of README.md. */
const SUPERVISOR_PAGES = [
  'automation',
  'commands',
  'configuration',
  'control',
  'files',
  'output',
  'platforms',
  'processes',
  'readiness',
  'restarts',
  'selection',
  'supervisor',
  'systemd',
  'terminal',
  'variables',
].map((name) => `docs/${name}.md`)

const OPERATIONS_PAGE = 'docs/operations.md'

export interface Documents {
  readonly supervisor: readonly Document[]
  /** Of the pipeline, and of the development of both. */
  readonly pipeline: readonly Document[]
  /** docs/operations.md, whose commands replace data and stop servers. */
  readonly operations: Document
}

/** Reads README.md, CONTRIBUTING.md, SECURITY.md and docs/*.md. */
export async function readDocuments(root: string): Promise<Documents> {
  const names = (await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md')).toSorted()
  const paths = ['CONTRIBUTING.md', 'SECURITY.md', ...names.map((name) => `docs/${name}`)]
  const pages = await Promise.all(paths.map(async (path) => ({ path, text: await readFile(join(root, path), 'utf8') })))
  const [supervisor = '', ...pipeline] = (await readFile(join(root, 'README.md'), 'utf8')).split(
    /^(?=## The pipeline$)/m,
  )
  return {
    supervisor: [
      { path: 'README.md', text: supervisor },
      ...pages.filter(({ path }) => SUPERVISOR_PAGES.includes(path)),
    ],
    pipeline: [
      { path: 'README.md', text: pipeline.join('') },
      ...pages.filter(({ path }) => !SUPERVISOR_PAGES.includes(path) && path !== OPERATIONS_PAGE),
    ],
    operations: pages.find(({ path }) => path === OPERATIONS_PAGE) ?? { path: OPERATIONS_PAGE, text: '' },
  }
}

/**
 * Returns the distinct commands of a document, in order: the lines of its shell blocks, and inline code that begins with a
 * program.
 */
export function commandsIn({ path, text }: Document): readonly Command[] {
  const fenced = blocks(text).flatMap(({ language, lines }) => (['', 'sh', 'bash'].includes(language) ? lines : []))
  const inline = [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].flatMap(([, code]) => code ?? [])
  const texts = [...fenced.map(withoutComment), ...inline.filter((code) => PROGRAMS.test(code))]
  return [...new Set(texts.filter((line) => line !== ''))].map((command) => ({ path, text: command }))
}

/** Returns the blocks of one language, such as `json`. */
export function blocksOf(language: string, { text }: Document): readonly string[] {
  return blocks(text)
    .filter((block) => block.language === language)
    .map(({ lines }) => lines.join('\n'))
}

function blocks(text: string): readonly { readonly language: string; readonly lines: readonly string[] }[] {
  return [...text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(([, language = '', body = '']) => ({
    language,
    lines: body.split('\n'),
  }))
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^```[^]*?^```$/gm, '')
}

function withoutComment(line: string): string {
  return line.replace(/(^|\s+)# .*$/, '').trim()
}

/** Returns the words of a line as a shell reads them, without expansion; `|` is a word. */
export function shellWords(line: string): readonly string[] {
  return [...line.matchAll(/(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+/g)].map(([word]) =>
    word.replaceAll(
      /'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)/g,
      (_, single?: string, double?: string, escaped?: string) =>
        single ?? double?.replaceAll(/\\(["\\$`])/g, '$1') ?? escaped ?? '',
    ),
  )
}

/** Returns the value of a flag such as `-d`. Throws if the flag is missing. */
export function argument(words: readonly string[], flag: string): string {
  const value = words[words.indexOf(flag) + 1]
  if (!words.includes(flag) || value === undefined) throw new Error(`no ${flag} in ${words.join(' ')}`)
  return value
}

/** Pairs of an example in a document and its value in this run. */
export type Values = readonly (readonly [example: string, value: string])[]

/** Replaces the examples with the values of this run. */
export function withValues(text: string, values: Values): string {
  return values.reduce((replaced, [example, value]) => replaced.replaceAll(example, value), text)
}

/**
 * Returns a pattern for output lines that differ from this line only in numbers, in the width of the prefix, and where the line
 * has `…`.
 */
export function likeness(line: string): RegExp {
  const escaped = line.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  const numbers = escaped.replaceAll(/(?<!\w)\d+(\\\.\d+)?/g, String.raw`-?\d+(\.\d+)?`)
  return new RegExp(`^${numbers.replaceAll(/ +/g, ' +').replaceAll('…', '.*')} *$`, 'm')
}
