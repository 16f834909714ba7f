// `npm test`: set-up, then every check, then every test. The last line counts both: `N passed, N failed`.
// With arguments, which are passed to vitest, the checks are skipped: `npm test -- --project unit src/runner`.
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { check } from './check.mjs'
import { say, setUp } from './setup.mjs'
import { runTool } from './tools.mjs'

/** Programs of the system that the tests run → the Debian packages that contain them. */
const systemPackages = {
  'systemd-analyze': 'systemd',
  perl: 'perl',
  script: 'bsdutils',
  mosquitto: 'mosquitto',
  openssl: 'openssl',
}

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

/** Installs the missing packages as root on Debian and Ubuntu; otherwise prints the missing programs, whose tests fail. */
function installSystemPackages() {
  const missing = Object.entries(systemPackages).flatMap(([program, name]) => (isOnPath(program) ? [] : name))
  if (missing.length === 0) return
  const install = ['install', '-y', '-q', '--no-install-recommends', ...missing]
  if (process.getuid?.() !== 0 || !isOnPath('apt-get')) {
    const reason = isOnPath('apt-get') ? 'not root' : 'no apt-get'
    say(
      `cannot install ${missing.join(', ')} (${reason}); tests that need them fail. Install them: apt-get ${install.join(' ')}`,
    )
    return
  }
  say(`installing ${missing.join(', ')} with apt-get, for the tests`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  for (const args of [['update', '-q'], install]) {
    const { status, stdout, stderr } = spawnSync('apt-get', args, { env, encoding: 'utf8' })
    if (status === 0) continue
    say(
      `apt-get ${args.join(' ')} exited with ${status}; tests that need ${missing.join(', ')} fail\n${stdout}${stderr}`,
    )
    return
  }
}

function isOnPath(program) {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0
}
