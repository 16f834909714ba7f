import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('../fixtures/steerable.js', import.meta.url))

interface Message {
  readonly name?: string
  readonly pid?: number
  readonly id?: number
  readonly answer?: unknown
  readonly signal?: string
}

/** One child (or grandchild) that runs now, in the hands of the test. */
export class SteeredChild {
  readonly name: string
  readonly pid: number
  /** Resolves when the process is gone, whoever ended it. */
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

  /** True at once when the process is gone or dead, also before the test has heard of it. */
  get isGone(): boolean {
    return this.#isGone || !isAlive(this.pid)
  }

  /** Resolves when it is gone: the order itself is never answered. */
  async exit(code: number): Promise<void> {
    this.#send('exit', { code })
    await this.gone
  }

  async raise(signal: NodeJS.Signals): Promise<void> {
    this.#send('raise', { signal })
    await this.gone
  }

  /** Writes to its stdout, `times` times over. Resolves when the kernel has taken all of it. */
  async print(text: string | Buffer, times = 1): Promise<void> {
    await this.#order('print', { fd: 1, base64: Buffer.from(text).toString('base64'), times })
  }

  async printError(text: string | Buffer): Promise<void> {
    await this.#order('print', { fd: 2, base64: Buffer.from(text).toString('base64'), times: 1 })
  }

  async closeOutput(): Promise<void> {
    await this.#order('close', { fd: 1 })
  }

  /** From now on the signal does not end it but is told to the test. */
  async keep(signal: NodeJS.Signals): Promise<void> {
    await this.#order('keep', { signal })
  }

  /** The next signal that reached it, of those it keeps. */
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

  /** Starts a grandchild, which the test meets with `nextStart(name)`. */
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

/** Where steerable children report. */
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

  /** How to start a child that reports under `name`. */
  program(name: string): { command: string; args: readonly string[]; env: Readonly<Record<string, string>> } {
    const env = { PATH: process.env['PATH'] ?? '', RIG_SOCKET: join(this.#folder, 'socket'), RIG_NAME: name }
    return { command: process.execPath, args: [PROGRAM], env }
  }

  /** The next child that reports under `name` and was not taken yet. */
  nextStart(name: string): Promise<SteeredChild> {
    return this.#queue(name).next()
  }

  /** Every child that reported so far and has not ended. */
  get living(): readonly SteeredChild[] {
    return [...this.#children].filter((child) => !child.isGone)
  }

  /** How often children reported under `name`. */
  starts(name: string): number {
    return [...this.#children].filter((child) => child.name === name).length
  }

  /** Ends what is left: a child whose test is gone ends itself. */
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
    // A child that is killed may break its connection; that it closed is what counts.
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

/** Whether a process runs; one that is dead and only waits to be collected does not. */
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

/** Values that come before or after they are asked for. */
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
