// The simplest program that starts children, prefixes their lines, restarts them on request and stops them on SIGTERM. The
// supervisor's figures are compared with those of this program. `bare-supervisor [--restart] NAME LINE [NAME LINE …]`
import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

const args = process.argv.slice(2)
const restarts = args[0] === '--restart'
const children = new Set<ChildProcess>()
let stopping = false

function relay(source: Readable, sink: Writable, prefix: string): void {
  let rest = ''
  source.setEncoding('latin1')
  source.on('data', (chunk: string) => {
    const text = rest + chunk
    const end = text.lastIndexOf('\n')
    rest = text.slice(end + 1)
    if (end < 0 || sink.write(`${prefix}${text.slice(0, end).replaceAll('\n', `\n${prefix}`)}\n`, 'latin1')) return
    source.pause()
    sink.once('drain', () => source.resume())
  })
  source.on('end', () => {
    if (rest !== '') sink.write(`${prefix}${rest}\n`, 'latin1')
  })
}

function start(name: string, line: string): void {
  const child = spawn('/bin/sh', ['-c', line], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  relay(child.stdout, process.stdout, `[${name}] `)
  relay(child.stderr, process.stderr, `[${name}] `)
  child.on('exit', () => {
    children.delete(child)
    if (restarts && !stopping) start(name, line)
  })
}

process.on('SIGTERM', () => {
  stopping = true
  for (const { pid } of children) if (pid !== undefined) process.kill(-pid, 'SIGTERM')
})
process.stdout.setMaxListeners(0)
process.stderr.setMaxListeners(0)
for (let at = restarts ? 1 : 0; at < args.length; at += 2) start(args[at] ?? '', args[at + 1] ?? '')
