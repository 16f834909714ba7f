import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Program, projectRoot } from '../test/rig/program.ts'

/** A folder in which the package is installed. */
const folder = mkdtempSync(join(tmpdir(), 'ponix-types-'))
mkdirSync(join(folder, 'node_modules'))
symlinkSync(projectRoot, join(folder, 'node_modules', 'ponix-orchestrator'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const tsc = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc')
const options = ['--strict', '--noEmit', '--module', 'nodenext', '--exactOptionalPropertyTypes', '--types', '']

/** Returns the errors of the compiler for a configuration. */
async function compile(config: string): Promise<string> {
  const path = join(folder, 'config.mts')
  writeFileSync(path, `import { defineConfig } from 'ponix-orchestrator'\nexport default defineConfig(${config})\n`)
  const { stdout } = await new Program(process.execPath, [tsc, ...options, path], { cwd: folder }).outcome
  return stdout
}

describe('defineConfig', () => {
  it('accepts a valid configuration', async () => {
    const errors = await compile(`{
      $schema: './node_modules/ponix-orchestrator/docs/commonplace.schema.json',
      env: { LOG_LEVEL: 'info' },
      control: { http: 19_100, token: '$\{PONIX_CONTROL_TOKEN}' },
      processes: {
        postgres: { command: 'postgres', readiness_probe: { exec: ['pg_isready', '-q'] }, shutdown: { signal: 'SIGINT' } },
        migrate: { command: 'node', args: ['migrate.mjs'], kind: 'task', depends_on: ['postgres'] },
        api: { command: 'node', depends_on: { migrate: { condition: 'completed_successfully' } }, replicas: 2 },
      },
    }`)
    expect(errors).toBe('')
  })

  it.each([
    [`{ processes: { api: { comand: 'node' } } }`, "'comand' does not exist in type 'ProcessConfig'"],
    [`{ processes: { api: { command: 'node', kind: 'job' } } }`, 'Type \'"job"\' is not assignable'],
    [`{ processes: { api: {} } }`, "Property 'command' is missing"],
    [`{}`, "Property 'processes' is missing"],
  ])('rejects %s', async (config, error) => {
    expect(await compile(config)).toContain(error)
  })

  it('prints the configuration in a script', async () => {
    const path = join(folder, 'commonplace.config.mjs')
    const config = { processes: { api: { command: 'node' } } }
    writeFileSync(
      path,
      `import { defineConfig } from 'ponix-orchestrator'\nconsole.log(JSON.stringify(defineConfig(${JSON.stringify(config)})))\n`,
    )
    const { stdout } = await new Program(process.execPath, [path], { cwd: folder }).outcome
    expect(JSON.parse(stdout)).toEqual(config)
  })
})
