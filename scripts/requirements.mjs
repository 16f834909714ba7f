// `npm run generate:requirements`: updates the lists of tests in docs/requirements.md; its sentences are written manually.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const path = join(root, 'docs', 'requirements.md')
const ID = /\b[A-EGM-PRW]-\d+\b/g

/** Returns the problems of docs/requirements.md, one line each; none if it is current. */
export function requirementProblems() {
  const text = readFileSync(path, 'utf8')
  const citations = citingTests()
  const undefinedIds = [...citations.keys()].filter((id) => !text.includes(`- **${id}** `))
  const problems = undefinedIds.map(
    (id) => `docs/requirements.md does not define ${id}, which ${citations.get(id)[0]} cites`,
  )
  if (withTests(text, citations) !== text) {
    problems.push('the lists of tests in docs/requirements.md are not current: run npm run generate:requirements')
  }
  return problems
}

/** Returns a map: requirement id → the test files that cite it, in order. */
function citingTests() {
  const citations = new Map()
  for (const file of testFiles()) {
    for (const [id] of readFileSync(join(root, file), 'utf8').matchAll(ID)) {
      const files = citations.get(id) ?? []
      if (files.at(-1) !== file) citations.set(id, [...files, file])
    }
  }
  return citations
}

function testFiles() {
  return ['bench', 'scripts', 'services', 'src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((name) => name.endsWith('.test.ts'))
      .sort()
      .map((name) => `${folder}/${name}`),
  )
}

/** Returns the text with a current list of tests below each requirement. */
function withTests(text, citations) {
  return text.replaceAll(/^- \*\*([A-Z]-\d+)\*\* (.*)\n {2}Tests:.*$/gm, (_, id, sentence) => {
    const files = (citations.get(id) ?? []).map((file) => `\`${file}\``)
    return `- **${id}** ${sentence}\n  Tests: ${files.length === 0 ? 'none' : files.join(', ')}`
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(path, withTests(readFileSync(path, 'utf8'), citingTests()))
  for (const problem of requirementProblems()) console.error(problem)
  process.exitCode = requirementProblems().length === 0 ? 0 : 1
}
