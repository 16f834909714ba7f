import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { embedded, type Program } from '../../../test/rig/program.ts'
import { freePort } from '../../../test/rig/servers.ts'

/**
 * A stand-in for a ClickHouse server, which this machine does not have: it answers with its version, or serves `/ping` and records
 * its arguments, its requests and its end beside itself. It ends early if the file `fail` exists, and rejects every statement if the
 * file `deny` exists.
 */
const STAND_IN = `#!${process.execPath}
const fs = require('node:fs')
const home = require('node:path').dirname(__filename)
const args = process.argv.slice(2)
if (args[1] === '--version') {
  console.log('ClickHouse server version ' + fs.readFileSync(home + '/version', 'utf8') + '.1.2703 (official build).')
  process.exit()
}
if (fs.existsSync(home + '/fail')) {
  console.error('2026.11.27 05:00:00.000001 [ 7 ] {} <Error> Application: DB::Exception: no space left')
  process.exit(70)
}
const record = (line) => fs.appendFileSync(home + '/record', JSON.stringify(line) + '\\n')
record({ args, watchdog: process.env.CLICKHOUSE_WATCHDOG_ENABLE })
const config = fs.readFileSync(args[1].replace('--config-file=', ''), 'utf8')
const server = require('node:http').createServer((request, response) => {
  let body = ''
  request.on('data', (chunk) => (body += chunk)).on('end', () => {
    const { 'x-clickhouse-user': user, 'x-clickhouse-key': key } = request.headers
    if (request.url !== '/ping') record({ body, user, key })
    if (request.url !== '/ping' && fs.existsSync(home + '/deny')) response.statusCode = 500
    response.end(response.statusCode === 500 ? 'Code: 243. NOT_ENOUGH_SPACE' : 'Ok.\\n')
  })
})
server.listen(Number(/<http_port>(\\d+)</.exec(config)[1]), /<listen_host>(.*)</.exec(config)[1])
process.on('SIGTERM', () => {
  record({ end: 'SIGTERM' })
  process.exit(0)
})
`

let folder = ''
let port = 0
let run: Program | undefined

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ponix-clickhouse-'))
  port = await freePort()
  await writeFile(join(folder, 'clickhouse'), STAND_IN)
  await writeFile(join(folder, 'package.json'), '{"type": "commonjs"}')
  await writeFile(join(folder, 'version'), '25.3')
  await chmod(join(folder, 'clickhouse'), 0o755)
  return async () => {
    await run?.stop()
    run = undefined
    await rm(folder, { recursive: true, force: true })
  }
})

function start(): Program {
  const args = ['clickhouse', '--port', String(port), '--data', join(folder, 'data')]
  run = embedded(args, { PATH: `${folder}:${process.env['PATH']}` })
  return run
}

async function records(): Promise<unknown[]> {
  const text = await readFile(join(folder, 'record'), 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): unknown => JSON.parse(line))
}

describe('E-8: a ClickHouse server on PATH', () => {
  it('runs as the server, with its database, and is stopped with SIGTERM', async () => {
    const program = start()
    await program.ready()
    const config = join(folder, 'data', 'clickhouse-server.xml')
    expect(await records()).toEqual([
      { args: ['server', `--config-file=${config}`], watchdog: '0' },
      { body: 'CREATE DATABASE IF NOT EXISTS `ponix`', user: 'ponix', key: 'ponix' },
    ])
    expect(await program.stop()).toBe(0)
    expect(await records()).toContainEqual({ end: 'SIGTERM' })
  })

  it('listens on loopback only, with its data in a folder of its own and without the password in clear text', async () => {
    await start().ready()
    const config = await readFile(join(folder, 'data', 'clickhouse-server.xml'), 'utf8')
    expect(config.match(/<listen_host>.*<\/listen_host>/g)).toEqual(['<listen_host>127.0.0.1</listen_host>'])
    expect(config).toContain(`<http_port>${port}</http_port>`)
    expect(config).not.toMatch(/tcp_port|interserver/)
    expect(config).toContain(`<path>${join(folder, 'data', 'server')}/</path>`)
    const users = await readFile(join(folder, 'data', 'clickhouse-users.xml'), 'utf8')
    expect(users).toMatch(/<password_sha256_hex>[0-9a-f]{64}<\/password_sha256_hex>/)
    expect(users).not.toContain('<password>')
  })

  it('does not use the data of the embedded engine, and a log line names both folders', async () => {
    await mkdir(join(folder, 'data', 'engine', 'store'), { recursive: true })
    const program = start()
    await program.ready()
    expect(program.stdout).toContain(
      `has its data in ${join(folder, 'data', 'server')}; the data of the embedded engine in ${join(folder, 'data', 'engine')} is not used`,
    )
  })

  it('that ends early is reported with its last error', async () => {
    await writeFile(join(folder, 'fail'), '')
    const { code, stdout } = await start().outcome
    expect(code).toBe(1)
    expect(stdout).toMatch(/ClickHouse ended \(exit code 70\): .*no space left/)
  })

  it('that rejects the creation of the database is stopped and reported with its answer', async () => {
    await writeFile(join(folder, 'deny'), '')
    const { code, stdout } = await start().outcome
    expect(code).toBe(1)
    expect(stdout).toMatch(/the server did not create the database: Code: 243/)
    expect(await records()).toContainEqual({ end: 'SIGTERM' })
  })

  it('that is older than 25.3 is not used: the embedded engine runs', async () => {
    await writeFile(join(folder, 'version'), '25.2')
    await start().ready()
    const answer = await fetch(`http://127.0.0.1:${port}/?query=SELECT+1&user=ponix&password=ponix`)
    expect(answer.headers.get('x-clickhouse-server-display-name')).toBe('ponix-embedded')
    expect(await records()).toEqual([])
  })
})
