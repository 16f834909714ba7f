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

/** The commands that the test does not run, and the reason. */
export const NOT_HERE: readonly (readonly [command: RegExp, reason: string])[] = [
  [/^npm test$/, 'includes this test'],
  [/^npm run check$/, 'npm test includes it'],
  [/^npm run format$/, 'rewrites sources; npm run check compares'],
  [/^npm run generate(:\w+)?$/, 'rewrites generated files; npm run check compares'],
  [/^npm run test:nodes$/, 'takes minutes and downloads versions of Node'],
  [/^npx vitest$/, 'runs all tests, as npm test does'],
  [/^npx vitest run .*(schema|routes)\.test\.ts -u$/, 'rewrites documents; the same test without -u compares them'],
  [/^PONIX_POSTGRES_PORT=\S+ PONIX_CLICKHOUSE_URL=\S+ node --inspect-brk /, 'waits for a debugger'],
  [/^npm start -- --disable api --disable demo$/, 'accompanies the debugged program; another command tests --disable'],
  [/^npm run bench/, 'takes many minutes and a machine of its own'],
  [/^PONIX_CDC_CRASHES=/, 'takes minutes; npm test runs the same with fewer kills'],
  [/^ponix-cdc resnapshot$/, 'requires a stopped service; administration.pg.test.ts runs it'],
  [/^(ponix-analytics dead-letters|curl -f)$/, 'names a group of commands or an option'],
  [/^ponix-orchestrator attach/, 'needs a terminal; attach.test.ts runs it'],
  [/^apt install /, 'changes the machine'],
  [/^docker run /, 'needs Docker and its images'],
  [/^npm install --global ponix-orchestrator$/, 'changes the machine; package.test.ts installs the package'],
  [/^useradd /, 'changes the machine'],
  [/^cp deploy\S+ \/etc\//, 'changes the machine; systemd-unit.test.ts reads the unit'],
  [/^(sudo|systemctl|kubectl) /, 'needs a running systemd or cluster, and rights for it'],
]

/** Reads README.md, CONTRIBUTING.md, SECURITY.md and docs/*.md. */
export async function readDocuments(root: string): Promise<readonly Document[]> {
  const names = (await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md')).toSorted()
  const paths = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...names.map((name) => `docs/${name}`)]
  return Promise.all(paths.map(async (path) => ({ path, text: await readFile(join(root, path), 'utf8') })))
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

/** Returns a pattern for output lines that differ from this line only in numbers and in the width of the prefix. */
export function likeness(line: string): RegExp {
  const escaped = line.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  const numbers = escaped.replaceAll(/(?<!\w)\d+(\\\.\d+)?/g, String.raw`-?\d+(\.\d+)?`)
  return new RegExp(`^${numbers.replaceAll(/ +/g, ' +')} *$`, 'm')
}
