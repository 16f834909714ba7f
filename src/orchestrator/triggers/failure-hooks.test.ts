import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, onTestFinished, test } from 'vitest'
import { isAlive } from '../../../test/rig/orchestrator/steerable-child.ts'
import { emptyFolder } from '../../../test/rig/empty-folder.ts'
import type { ResolvedHook } from '../config/resolved.ts'
import { FailureHooks } from './failure-hooks.ts'

const report = {
  process: 'web',
  reason: 'exited with code 1; $(touch never) API_TOKEN=hunter2',
  config: '/app/commonplace.json',
  env: { PATH: process.env['PATH'] ?? '', COLOUR: 'blue' },
  secretNames: [],
}
const never = new Promise<void>(() => {})

function open({ timeoutMs = 60_000 } = {}) {
  const problems: string[] = []
  const onProblem = (name: string, reason: string) => problems.push(`${name}: ${reason}`)
  const hooks = new FailureHooks({ timeoutMs, runTag: null, onProblem })
  onTestFinished(() => hooks.end(Promise.resolve()))
  return { hooks, problems }
}

const line = (text: string, cwd: string): ResolvedHook => ({
  type: 'command',
  command: '/bin/sh',
  args: ['-c', text],
  cwd,
})

/** Starts a server that records the bodies of requests and answers with a status. */
async function webhook(status: number) {
  const requests: unknown[] = []
  const server = createServer((request, response) => {
    let body = ''
    request
      .on('data', (chunk) => (body += chunk))
      .on('end', () => {
        requests.push({
          method: request.method,
          path: request.url,
          type: request.headers['content-type'],
          ...JSON.parse(body),
        })
        response.writeHead(status).end('x')
      })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { requests, url: `http://127.0.0.1:${address.port}/hook/hunter2` }
}

describe('a command', () => {
  test('has the name and the reason in its environment, without secrets, and is not changed by them', async () => {
    const folder = emptyFolder()
    const { hooks, problems } = open()
    hooks.add(line('echo "$PONIX_PROCESS|$PONIX_REASON|$COLOUR|$HOME" > out', folder), report)
    await hooks.end(never)
    expect(readFileSync(join(folder, 'out'), 'utf8')).toBe(
      'web|exited with code 1; $(touch never) API_TOKEN=***|blue|\n',
    )
    expect(existsSync(join(folder, 'never'))).toBe(false)
    expect(problems).toEqual([])
  })

  test.each([
    ['echo first; echo "the disk is full" >&2; exit 3', 'web: exited with code 3: the disk is full'],
    ['echo API_TOKEN=hunter2; exit 1', 'web: exited with code 1: API_TOKEN=***'],
    ['kill -9 $$', 'web: was ended by SIGKILL'],
  ])('that fails is reported: %s', async (text, problem) => {
    const { hooks, problems } = open()
    hooks.add(line(text, emptyFolder()), report)
    await hooks.end(never)
    expect(problems).toEqual([problem])
  })

  test('that does not exist is reported without its arguments', async () => {
    const { hooks, problems } = open()
    hooks.add({ type: 'command', command: 'there-is-none', args: ['--token', 'hunter2'], cwd: emptyFolder() }, report)
    await hooks.end(never)
    expect(problems).toEqual([expect.stringMatching(/^web: "there-is-none" was not found/)])
    expect(problems.join()).not.toContain('hunter2')
  })

  test('is ended with its descendants after its time limit, although garbage is collected meanwhile', async () => {
    const folder = emptyFolder()
    const { hooks, problems } = open({ timeoutMs: 500 })
    setFlagsFromString('--expose-gc')
    const collect = () => void runInNewContext('gc()')
    const collector = setInterval(collect, 20)
    onTestFinished(() => clearInterval(collector))
    hooks.add(line('sleep 600 & echo $! > pid; wait', folder), report)
    await hooks.end(never)
    expect(problems).toEqual(['web: stopped after its limit of 0.5 s'])
    const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'))
    await expect.poll(() => isAlive(pid)).toBe(false)
  })

  test('is ended when the end is forced', async () => {
    const folder = emptyFolder()
    const { hooks, problems } = open()
    hooks.add(line('echo $$ > pid; exec sleep 600', folder), report)
    await expect.poll(() => existsSync(join(folder, 'pid'))).toBe(true)
    await hooks.end(Promise.resolve())
    expect(problems).toEqual(['web: stopped because the orchestrator ends'])
  })
})

describe('a webhook', () => {
  test('receives a JSON object without secrets', async () => {
    const { requests, url } = await webhook(204)
    const { hooks, problems } = open()
    hooks.add({ type: 'webhook', url }, report)
    await hooks.end(never)
    const reason = 'exited with code 1; $(touch never) API_TOKEN=***'
    expect(requests).toEqual([
      {
        method: 'POST',
        path: '/hook/hunter2',
        type: 'application/json',
        text: `web failed: ${reason}`,
        process: 'web',
        reason,
        config: '/app/commonplace.json',
        time: expect.stringMatching(/^\d{4}-.*Z$/),
      },
    ])
    expect(problems).toEqual([])
  })

  test('that fails is reported without its URL', async () => {
    const { url } = await webhook(500)
    const { hooks, problems } = open()
    hooks.add({ type: 'webhook', url }, report)
    hooks.add({ type: 'webhook', url: 'http://127.0.0.1:1/hunter2' }, report)
    await hooks.end(never)
    expect(problems.toSorted()).toEqual([
      expect.stringMatching(/^web: .*(?:ECONNREFUSED|bad port)/),
      expect.stringMatching(/^web: the webhook at 127\.0\.0\.1:\d+ answered 500$/),
    ])
    expect(problems.join()).not.toContain('hunter2')
  })
})

test('at most four hooks run at a time, and at most 100 wait', async () => {
  const folder = emptyFolder()
  const { hooks, problems } = open()
  const wait = line('echo x >> started; while [ ! -e go ]; do sleep 0.05; done; echo x >> ended', folder)
  for (let count = 0; count < 105; count++) hooks.add(wait, report)
  expect(problems).toEqual(['web: not run, because 100 others wait'])
  await expect
    .poll(() => existsSync(join(folder, 'started')) && readFileSync(join(folder, 'started'), 'utf8').length)
    .toBe(8)
  await hooks.end(Promise.resolve())
  expect(problems).toHaveLength(5)
  expect(readFileSync(join(folder, 'started'), 'utf8')).toHaveLength(8)
})
