import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { packageRoot } from './program.ts'

const root = packageRoot()
const manifest = z
  .object({ version: z.string(), bin: z.record(z.string(), z.string()) })
  .parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')))
const programs = Object.keys(manifest.bin)
const services = programs.filter((name) => name !== 'ponix-orchestrator')

/** Commands of the programs that do nothing without a command. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  'ponix-codec': ['run', 'cayenne_lpp', '--hex', '00'],
  'ponix-embedded': ['install', 'nats'],
}

/** The working directory of every program; it stays empty if a program writes nothing. */
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ponix-programs-'))
})
afterAll(() => rm(folder, { recursive: true }))

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a built program. By default its environment is invalid, because the program must not read it. */
function run(name: string, args: readonly string[], env: NodeJS.ProcessEnv = { PONIX_LOG_LEVEL: 'loud' }) {
  return new Promise<Outcome>((resolve) => {
    const options = { cwd: folder, env: { PATH: process.env['PATH'], ...env } }
    execFile(join(root, 'dist/bin', name), args, options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

/** Matches exactly one line, which starts with the name of the program. */
const oneLine = (name: string, text: string) => expect.stringMatching(new RegExp(`^${name}: ${text}[^\n]*\n$`))

describe.concurrent.each(programs)('%s', (name) => {
  test('prints its help', async () => {
    const { code, stdout, stderr } = await run(name, ['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(`Usage: ${name}`)
    const expected = ['--help', '--version', ...(services.includes(name) ? ['docs/environment.md'] : [])]
    for (const text of expected) expect(stdout).toContain(text)
  })

  test('prints the version of the package', async () => {
    expect(await run(name, ['--version'])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' })
  })

  test.each([
    ['--nonsense', "unknown option '--nonsense'"],
    ['nonsense', '.*nonsense'],
  ])('rejects %s with one line and exit code 2 before it does anything else', async (argument, message) => {
    expect(await run(name, [argument])).toEqual({ code: 2, stdout: '', stderr: oneLine(name, message) })
    expect(await readdir(folder)).toEqual([])
  })
})

describe.concurrent.each(services)('%s', (name) => {
  test('prints its variables, which are all documented', async () => {
    const documentation = await readFile(join(root, 'docs/environment.md'), 'utf8')
    const { code, stdout } = await run(name, ['--print-config'], {})
    expect(code).toBe(0)
    for (const [variable] of stdout.matchAll(/PONIX_\w+/g)) expect(documentation).toContain(`\`${variable}\``)
  })

  test('R-7 rejects invalid variables with one line each and exit code 2', async () => {
    expect(await run(name, COMMANDS[name] ?? [])).toEqual({
      code: 2,
      stdout: '',
      stderr: oneLine(name, 'PONIX_LOG_LEVEL="loud"'),
    })
  })
})

describe.concurrent.each([
  ['ponix-cdc', ['nonsense'], 'unknown command "nonsense"; the commands are run, status, resnapshot, forget'],
  ['ponix-cdc', ['run', 'nonsense'], 'unexpected argument "nonsense"'],
  ['ponix-cdc', ['status', 'nonsense'], 'unexpected argument "nonsense"'],
  ['ponix-cdc', ['resnapshot', '--json'], "unknown option '--json'"],
  ['ponix-analytics', ['dead-letters', 'nonsense'], "unknown command 'nonsense'"],
  ['ponix-analytics', ['dead-letters', 'show', '1', '2'], 'unexpected argument "2"'],
  ['ponix-migrate', ['up', '--target', 'nonsense'], "option '--target <database>' argument 'nonsense' is invalid"],
  ['ponix-migrate', ['status', 'nonsense'], 'unexpected argument "nonsense"'],
  ['ponix-codec', ['run', 'cayenne_lpp', 'nonsense'], 'unexpected argument "nonsense"'],
  ['ponix-codec', ['test', '--nonsense'], "unknown option '--nonsense'"],
  ['ponix-embedded', ['postgres', 'nonsense'], 'unexpected argument "nonsense"'],
  ['ponix-embedded', ['postgres', '--monitoring-port', '1'], "unknown option '--monitoring-port'"],
])('%s %j', (name, args, message) => {
  test('is rejected with one line and exit code 2', async () => {
    expect(await run(name, args)).toEqual({ code: 2, stdout: '', stderr: oneLine(name, message) })
  })
})
