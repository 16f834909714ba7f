import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtProgram, Program, projectRoot } from '../rig/program.ts'
import { freePort } from '../rig/servers.ts'

describe('examples/shop', () => {
  let runtime: string
  let shop: Program
  let port: number

  beforeAll(async () => {
    runtime = await mkdtemp(join(tmpdir(), 'ponix-shop-'))
    port = await freePort()
    const config = join(projectRoot, 'examples/shop/commonplace.json')
    const env = { ...process.env, XDG_RUNTIME_DIR: runtime, PORT: String(port), DB_PORT: String(await freePort()) }
    shop = new Program(process.execPath, [builtProgram('cli'), '--config', config], { env, detached: true })
  })

  afterAll(async () => {
    await shop[Symbol.asyncDispose]()
    await rm(runtime, { recursive: true, force: true })
  })

  it('starts in the order of its dependencies', async () => {
    await expectLines([
      /^\[orchestrator\] db: started/,
      /^\[orchestrator\] db: ready/,
      /^\[orchestrator\] migrate: started/,
      /^\[orchestrator\] migrate: completed/,
      /^\[orchestrator\] api: started/,
      /^\[orchestrator\] api: ready/,
      /^\[orchestrator\] worker: started/,
      /^\[orchestrator\] all 4 processes are ready/,
    ])
    expect(await (await fetch(`http://127.0.0.1:${port}`)).json()).toEqual({ orders: 3 })
  })

  it('restarts its worker after each crash, and no other process', async () => {
    await expectLines([
      /^\[orchestrator\] worker: exited with code 1/,
      /^\[orchestrator\] worker: restarts in 500 ms \(attempt 1\)/,
      /^\[orchestrator\] worker: started again/,
      /^\[orchestrator\] worker: exited with code 1/,
      /^\[orchestrator\] worker: restarts in 1 s \(attempt 2\)/,
    ])
    expect(shop.outputLines.filter((line) => /(db|api|migrate): started/.test(line))).toHaveLength(3)
  })

  it('stops dependents before their dependencies, and ends with 0', async () => {
    shop.signalGroup('SIGINT')
    await expectLines([
      /^\[orchestrator\] stopping everything: SIGINT/,
      /^\[orchestrator\] worker: stopped/,
      /^\[orchestrator\] api: stopped/,
      /^\[orchestrator\] db: stopping/,
      /^\[orchestrator\] db: stopped/,
    ])
    const { code, stdout } = await shop.outcome
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('data is written, bye') })
  })

  /** Awaits lines that match the patterns, in this order. */
  async function expectLines(patterns: readonly RegExp[]): Promise<void> {
    let from = 0
    for (const pattern of patterns) from = (await shop.outputLine(pattern, from)).next
  }
})
