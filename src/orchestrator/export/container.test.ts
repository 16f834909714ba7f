import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { emptyFolder } from '../../../test/rig/empty-folder.ts'
import { loadGraph } from '../../../test/rig/configuration/export.ts'
import { containerCommand, probeCommand } from './container.ts'
import { type ExportedProbe, type ExportedProcess, exportedProcesses } from './exported-graph.ts'

function exported(process: object): ExportedProcess {
  const { config } = loadGraph({ processes: { store: process } })
  const [first] = exportedProcesses(config)
  if (first === undefined) throw new Error('expected one')
  return first
}

/** Runs a command as an engine does, without a shell. */
async function run(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [program = '', ...args] = words
  return execa(program, args, { env, reject: false, stdin: 'ignore' })
}

function readinessOf(process: object): ExportedProbe {
  const { readiness } = exported(process)
  if (readiness === null) throw new Error('expected one')
  return readiness
}

/** Runs the probe as an engine does; resolves to its exit code. */
async function codeOf(probe: ExportedProbe, env: Readonly<Record<string, string>> = {}): Promise<number | undefined> {
  return (await run(['/bin/sh', '-c', probeCommand(probe) ?? 'exit 99'], env)).exitCode
}

describe('the commands for containers, run by a real shell (O-10)', () => {
  it('read a secret argument from its variable and keep the others (O-42)', async () => {
    const words = containerCommand(exported({ command: 'printf', args: ['%s|', '--token', 'x', "it's $HOME", ''] }))
    const { stdout } = await run(words, { STORE_ARGUMENT_3: 'a "b" $c' })
    expect(stdout).toBe(`--token|a "b" $c|it's $HOME||`)
  })

  it('read a shell line with a secret from its variable as a whole', async () => {
    const words = containerCommand(exported({ command: 'PASSWORD=hunter22 my-store', shell: true }))
    expect((await run(words, { STORE_COMMAND_1: 'echo "$((1 + 1))"' })).stdout).toBe('2')
  })

  it('write a notification to the file that the probe checks, and empty it at the next start', async () => {
    const folder = emptyFolder()
    const moved = (text: string) => text.replaceAll('/tmp/ponix-ready', join(folder, 'ready'))
    const start = async (line: string) => {
      const words = containerCommand(exported({ command: line, shell: true, readiness_probe: { notify: true } }))
      await run(words.map(moved))
    }
    const probe = moved(probeCommand(readinessOf({ command: 'x', readiness_probe: { notify: true } })) ?? '')
    const isReady = async () => (await run(['/bin/sh', '-c', probe])).exitCode === 0
    const seen = [await isReady()]
    await start('echo >&"$NOTIFY_FD"')
    seen.push(await isReady())
    await start('true')
    seen.push(await isReady())
    expect(seen).toEqual([false, true, false])
  })

  it('probe a tcp_socket: success with a listener, failure without', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on a port
    const { port } = server.address() as AddressInfo
    const probe = readinessOf({ command: 'x', readiness_probe: { tcp_socket: `127.0.0.1:${port}` } })
    expect(await codeOf(probe)).toBe(0)
    await new Promise((resolve) => server.close(resolve))
    expect(await codeOf(probe)).not.toBe(0)
  })

  it('probe with exec: words unchanged, a secret one from its variable', async () => {
    const readiness_probe = { exec: ['test', '--token', '=', 'x y'] }
    const probe = readinessOf({ command: 'x', readiness_probe })
    expect(await codeOf(probe, { STORE_READINESS_3: '!=' })).toBe(0)
    expect(await codeOf(probe, { STORE_READINESS_3: '=' })).toBe(1)
  })

  it('have no probe for a log line', () => {
    expect(probeCommand(readinessOf({ command: 'x', readiness_probe: { log_line: 'up' } }))).toBeNull()
  })
})
