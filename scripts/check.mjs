// `npm run check`: runs all static checks.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { notices } from './notices.mjs'
import { requirementProblems } from './requirements.mjs'
import { setUp } from './setup.mjs'
import { root, runTool } from './tools.mjs'

const checks = {
  'format (oxfmt)': () => runTool('oxfmt', ['--check']),
  'lint (oxlint)': () => runTool('oxlint', []),
  'types (tsc)': () => runTool('tsc', ['--project', '.', '--pretty']),
  'unused code (knip)': () => runTool('knip', []),
  'package (publint)': () => runTool('publint', ['--strict']),
  'generated code is current (buf)': generatedIsCurrent,
  'third-party notices are current': noticesAreCurrent,
  'requirements are defined and their lists current': () => resultOf(requirementProblems()),
}

/** Runs all checks and prints each result; resolves to the numbers of passed and failed checks. */
export async function check() {
  const counts = { passed: 0, failed: 0 }
  for (const [name, run] of Object.entries(checks)) {
    const begin = performance.now()
    const { code, output } = await run()
    const seconds = ((performance.now() - begin) / 1000).toFixed(1)
    counts[code === 0 ? 'passed' : 'failed'] += 1
    console.log(code === 0 ? `✓ ${name} ${seconds} s` : `${output.trimEnd()}\n✗ ${name} ${seconds} s`)
  }
  return counts
}

async function generatedIsCurrent() {
  const folder = await mkdtemp(join(tmpdir(), 'ponix-generated-'))
  try {
    const { code, output } = await runTool('buf', ['generate', '--output', folder])
    if (code !== 0) return { code, output }
    const [fresh, committed] = await Promise.all([folder, root].map((base) => readTree(join(base, 'src/proto/gen'))))
    const paths = [...new Set([...fresh.keys(), ...committed.keys()])]
    const differing = paths.filter((path) => fresh.get(path) !== committed.get(path))
    return resultOf(
      differing.map(
        (path) => `src/proto/gen/${path} differs from the code generated from proto/: run npm run generate`,
      ),
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function noticesAreCurrent() {
  const committed = await readFile(join(root, 'THIRD-PARTY-NOTICES'), 'utf8').catch(() => '')
  const problem = 'THIRD-PARTY-NOTICES differs from the licences of the bundled packages: run npm run generate:notices'
  return resultOf(committed === notices(root) ? [] : [problem])
}

function resultOf(problems) {
  return { code: problems.length, output: problems.join('\n') }
}

async function readTree(folder) {
  const paths = (await readdir(folder, { recursive: true })).filter((path) => path.endsWith('.ts'))
  return new Map(await Promise.all(paths.map(async (path) => [path, await readFile(join(folder, path), 'utf8')])))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await setUp()
  const { passed, failed } = await check()
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}
