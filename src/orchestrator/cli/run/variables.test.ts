import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { controlCommands, sleeper } from '../../../../test/rig/orchestrator/control-commands.ts'
import { freePort } from '../../../../test/rig/servers.ts'

const commands = controlCommands()

/** Writes a file of variables beside the configuration. */
function writeVariables(name: string, variables: object): void {
  const lines = Object.entries(variables).map(([key, value]) => `${key}=${value}\n`)
  writeFileSync(join(commands.program.folder, name), lines.join(''))
}

test('a probe asks the address of env_file; a reload reads the files again and restarts only what they change (O-39)', async () => {
  const listen = `require('node:net').createServer().listen(process.env.PORT, process.env.HOST, () => console.log('on', process.env.PORT))`
  const [first, second] = [await freePort(), await freePort()]
  writeVariables('web.env', { PORT: first })
  const web = {
    command: '${NODE}',
    args: ['-e', listen],
    env_file: ['web.env', { path: 'web.local.env', required: false }],
    env: { HOST: '127.0.0.1', NODE: process.execPath },
    readiness_probe: { tcp_socket: '${HOST}:${PORT}' },
  }
  const running = await commands.start({ web, other: sleeper })
  await running.seen(new RegExp(`on ${first}`))
  const before = await commands.status()
  writeVariables('web.local.env', { PORT: second })
  const { code, stdout } = await commands.program.run('reload')
  expect([code, stdout]).toEqual([0, expect.stringContaining('changed: web')])
  await running.seen(new RegExp(`on ${second}`))
  await expect.poll(async () => (await commands.status())['web']).toMatchObject({ state: 'ready' })
  expect((await commands.status())['other']?.pid).toBe(before['other']?.pid)
})

test('a reload with a broken env_file changes nothing (O-39)', async () => {
  writeVariables('web.env', { A: 1 })
  await commands.start({ web: { ...sleeper, env_file: 'web.env' } })
  const before = await commands.status()
  writeFileSync(join(commands.program.folder, 'web.env'), 'hunter22\n')
  const { code, stderr } = await commands.program.run('reload')
  expect([code, stderr]).toEqual([1, expect.stringMatching(/env_file: ".*web\.env" line 1: expected NAME=value/)])
  expect(stderr).not.toContain('hunter22')
  expect(await commands.status()).toMatchObject({ web: { pid: before['web']?.pid, state: 'running' } })
})
