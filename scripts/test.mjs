// `npm test`: set-up, then every check, then every test. The last line counts both: `N passed, N failed`.
// With arguments, which are passed to vitest, the checks are skipped: `npm test -- --project unit src/runner`.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { check } from './check.mjs'
import { setUp } from './setup.mjs'
import { installSystemPackages } from './system-packages.mjs'
import { runTool } from './tools.mjs'

await setUp()
installSystemPackages()
const chosen = process.argv.slice(2)
const checks = chosen.length === 0 ? await check() : { passed: 0, failed: 0 }
const tests = await runTests(chosen)
const failed = checks.failed + tests.failed
console.log(`${checks.passed + tests.passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

async function runTests(args) {
  const folder = await mkdtemp(join(tmpdir(), 'ponix-test-'))
  const report = join(folder, 'report.json')
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const { code } = await runTool('vitest', ['run', ...reporters, ...args], { show: true })
    return count(code, JSON.parse(await readFile(report, 'utf8').catch(() => '{}')))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Counts results. A file that fails to load and an error outside of tests have no test to count; each counts as a failure. */
function count(code, { numPassedTests = 0, numFailedTests = 0, testResults = [] }) {
  const unloaded = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  )
  const failures = numFailedTests + unloaded.length
  return { passed: numPassedTests, failed: failures === 0 && code !== 0 ? 1 : failures }
}
