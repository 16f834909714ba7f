import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, readdir, readFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('../../fixtures/steerable.js', import.meta.url))

interface Message {
  readonly name?: string
  readonly pid?: number
  readonly id?: number
  readonly answer?: unknown
  readonly signal?: string
}

/** A running child or grandchild that executes the orders of the test. */
export class SteeredChild {
  readonly name: string
  readonly pid: number
  /** Resolves when the process has exited. */
  readonly gone: Promise<void>
  readonly #socket: Socket
  readonly #answers = new Map<number, (answer: unknown) => void>()
  readonly #signals = new Queue<string>()
  #lastId = 0
  #isGone = false

  constructor(name: string, pid: number, socket: Socket) {
    this.name = name
    this.pid = pid
    this.#socket = socket
    this.gone = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isGone = true
        resolve()
      })
    })
  }

  /** True as soon as the process has exited, even before `gone` resolves. */
  get isGone(): boolean {
    return this.#isGone || !isAlive(this.pid)
  }

  /** Exits; resolves when the process has exited, because the order has no response. */
  async exit(code: number): Promise<void> {
    this.#send('exit', { code })
    await this.gone
  }

  async raise(signal: NodeJS.Signals): Promise<void> {
    this.#send('raise', { signal })
    await this.gone
  }

  /** Writes to its stdout, `times` times. Resolves when the kernel has accepted everything. */
  async print(text: string | Buffer, times = 1): Promise<void> {
    await this.#order('print', { fd: 1, base64: Buffer.from(text).toString('base64'), times })
  }

  async printError(text: string | Buffer): Promise<void> {
    await this.#order('print', { fd: 2, base64: Buffer.from(text).toString('base64'), times: 1 })
  }

  async closeOutput(): Promise<void> {
    await this.#order('close', { fd: 1 })
  }

  /** Makes the process ignore the signal and report it. */
  async keep(signal: NodeJS.Signals): Promise<void> {
    await this.#order('keep', { signal })
  }

  /** Resolves with the next signal that the process reports. */
  nextSignal(): Promise<string> {
    return this.#signals.next()
  }

  async notify(): Promise<void> {
    await this.#order('notify', {})
  }

  /** Accepts connections on 127.0.0.1; resolves with the port. */
  async listen(port = 0): Promise<number> {
    return Number(await this.#order('listen', { port }))
  }

  async environment(): Promise<Readonly<Record<string, string>>> {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the fixture answers with its process.env
    return (await this.#order('environment', {})) as Record<string, string>
  }

  /** Starts a grandchild, which `nextStart(name)` returns. */
  async fork(name: string, { session = false, holdsOutput = false } = {}): Promise<void> {
    await this.#order('fork', { name, session, holdsOutput })
  }

  receive(message: Message): void {
    if (message.signal !== undefined) this.#signals.push(message.signal)
    if (message.id !== undefined) this.#answers.get(message.id)?.(message.answer)
  }

  #send(order: string, details: object): number {
    const id = ++this.#lastId
    this.#socket.write(`${JSON.stringify({ id, order, ...details })}\n`)
    return id
  }

  #order(order: string, details: object): Promise<unknown> {
    return new Promise((resolve) => {
      this.#answers.set(this.#send(order, details), resolve)
    })
  }
}

/** The server to which steerable children connect. */
export class ChildRig implements AsyncDisposable {
  readonly #server: Server
  readonly #folder: string
  readonly #starts = new Map<string, Queue<SteeredChild>>()
  readonly #children = new Set<SteeredChild>()
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server, folder: string) {
    this.#server = server
    this.#folder = folder
    server.on('connection', (socket) => this.#onConnection(socket))
  }

  static async open(): Promise<ChildRig> {
    const folder = await mkdtemp(join(tmpdir(), 'ponix-rig-'))
    const server = createServer()
    server.listen(join(folder, 'socket'))
    await once(server, 'listening')
    return new ChildRig(server, folder)
  }

  /** Returns the definition of a child that reports under `name`. */
  program(name: string): { command: string; args: readonly string[]; env: Readonly<Record<string, string>> } {
    const env = { PATH: process.env['PATH'] ?? '', RIG_SOCKET: join(this.#folder, 'socket'), RIG_NAME: name }
    return { command: process.execPath, args: [PROGRAM], env }
  }

  /** Returns the next child that reports under `name` and that no earlier call returned. */
  nextStart(name: string): Promise<SteeredChild> {
    return this.#queue(name).next()
  }

  /** Returns all children that have reported and not exited. */
  get running(): readonly SteeredChild[] {
    return [...this.#children].filter((child) => !child.isGone)
  }

  /** Returns how many children have reported under `name`. */
  starts(name: string): number {
    return [...this.#children].filter((child) => child.name === name).length
  }

  /** Ends the remaining children: each exits when its connection closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  #queue(name: string): Queue<SteeredChild> {
    const queue = this.#starts.get(name) ?? new Queue<SteeredChild>()
    this.#starts.set(name, queue)
    return queue
  }

  #onConnection(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    let child: SteeredChild | null = null
    const lines = createInterface({ input: socket })
    // A killed child may reset its connection, which still emits close.
    lines.on('error', () => {})
    lines.on('line', (line) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the fixture beside this file is the only writer
      const message = JSON.parse(line) as Message
      if (child !== null) {
        child.receive(message)
        return
      }
      child = new SteeredChild(message.name ?? '', message.pid ?? 0, socket)
      this.#children.add(child)
      this.#queue(child.name).push(child)
    })
  }
}

/** Returns whether a process runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return !/\) [ZX] [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return process.platform !== 'linux'
  }
}

/** A queue with awaitable values. */
class Queue<T> {
  readonly #values: T[] = []
  readonly #waiting: ((value: T) => void)[] = []

  push(value: T): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#values.push(value)
    else waiting(value)
  }

  next(): Promise<T> {
    const value = this.#values.shift()
    if (value !== undefined) return Promise.resolve(value)
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
    })
  }
}

/**
 * Returns the running processes with `mark` in their initial environment, which descendants inherit, as `pid command`. Needs /proc.
 */
export async function survivors(mark: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(pids.map((pid) => commandOfMarked(pid, mark)))
  return found.filter((command) => command !== null)
}

/** Returns null if the process does not exist, or exits during the read. */
async function commandOfMarked(pid: string, mark: string): Promise<string | null> {
  try {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1')
    if (!environment.includes(mark)) return null
    const command = await readFile(`/proc/${pid}/cmdline`, 'latin1')
    return command === '' ? null : `${pid} ${command.replaceAll('\0', ' ')}`
  } catch {
    return null
  }
}
