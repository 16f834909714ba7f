import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { emptyFolder } from '../../../test/rig/empty-folder.ts'
import { configOf, type ProcessSketch, supervise } from '../../../test/rig/orchestrator/supervised-graph.ts'
import { digestOf } from '../config/control.ts'
import { ProcessTerminal } from '../supervisor/terminal/process-terminal.ts'
import { attachViewer, type ViewerMessage } from './attach.ts'
import { listenOnHttp, listenOnSocket } from './server.ts'
import { ControlTarget } from './target.ts'

const MIB = 1024 * 1024
const TOKEN = 'secret-of-the-test'

/** Prints its size when it changes, and each line that is typed. */
const prompt = {
  name: 'a',
  command: 'trap "stty size" WINCH; echo is up; while :; do read -r line && echo "got <$line>"; done',
  shell: true,
  tty: true,
}

function targetOf(sketch: ProcessSketch) {
  const graph = supervise([sketch])
  const config = configOf([sketch])
  const ignore = () => undefined
  const options = { load: () => config, scale: () => config, control: null }
  const target = new ControlTarget(graph.supervisor, {
    ...options,
    onReload: ignore,
    onApplied: ignore,
    onReloaded: ignore,
    onRejected: ignore,
  })
  return { graph, target }
}

function temporarySocket(): string {
  const folder = emptyFolder()
  return join(folder, 'socket')
}

function closeAfterTest(server: Server): void {
  onTestFinished(() => void server.close())
}

/** A connection that requests to attach; it reads nothing before `read`. */
class Viewer {
  readonly socket: Socket
  text = ''
  readonly #waiting = new Set<() => void>()

  constructor(address: string | number, path: string, header = '') {
    this.socket = typeof address === 'string' ? connect(address) : connect(address, '127.0.0.1')
    onTestFinished(() => void this.socket.destroy())
    const upgrade = `connection: Upgrade\r\nupgrade: ponix-terminal\r\n`
    this.socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n${upgrade}${header}\r\n`)
  }

  read(): this {
    this.socket.setEncoding('utf8').on('data', (text: string) => {
      this.text += text
      for (const check of this.#waiting) check()
    })
    return this
  }

  send(message: ViewerMessage): void {
    this.socket.write(`${JSON.stringify(message)}\n`)
  }

  type(text: string): void {
    this.send({ input: Buffer.from(text).toString('base64') })
  }

  /** Resolves when the output at or after `from` contains the text. */
  async shows(text: string, from = 0): Promise<void> {
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!this.text.includes(text, from)) return
        this.#waiting.delete(check)
        resolve()
      }
      this.#waiting.add(check)
      check()
    })
  }
}

const attach = (columns: number, rows: number) => `/attach?process=a&columns=${columns}&rows=${rows}`

/** Starts a process and the control socket; returns a function that attaches a viewer. */
async function openSocket(sketch: ProcessSketch) {
  const { graph, target } = targetOf(sketch)
  const path = temporarySocket()
  closeAfterTest(await listenOnSocket(target, path))
  return { graph, view: (columns = 80, rows = 24) => new Viewer(path, attach(columns, rows)) }
}

describe('attach over TCP', () => {
  test.each([
    ['without a token', null, '', 'HTTP/1.1 403 Forbidden', 'attach needs the control socket'],
    ['without the token of the configuration', TOKEN, '', 'HTTP/1.1 401 Unauthorized', 'expected the token'],
    ['with the token', TOKEN, `authorization: Bearer ${TOKEN}\r\n`, 'HTTP/1.1 101 Switching Protocols', 'is up'],
  ])('is answered %s', async (_title, token, header, status, text) => {
    const { graph, target } = targetOf(prompt)
    await graph.stdout.holds('is up')
    const tokenDigest = token === null ? null : digestOf(token)
    const server = await listenOnHttp(target, { host: '127.0.0.1', port: 0, tokenDigest })
    closeAfterTest(server)
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const viewer = new Viewer(port, attach(80, 24), header).read()
    await viewer.shows(text)
    expect(viewer.text.split('\r\n')[0]).toBe(status)
  })
})

describe('several viewers of one process', () => {
  test('share the smallest size, and each of them types', async () => {
    const { graph, view } = await openSocket(prompt)
    await graph.stdout.holds('is up')
    const wide = view(100, 30).read()
    await wide.shows('30 100')
    const small = view(60, 40).read()
    await wide.shows('30 60')
    small.send({ columns: 70, rows: 20 })
    await wide.shows('20 70')
    wide.type('one\r')
    await small.shows('got <one>')
    small.type('two\r')
    await wide.shows('got <two>')
    const from = wide.text.length
    small.socket.destroy()
    await wide.shows('30 100', from)
    expect(small.text).not.toContain('20 100')
  })
})

describe('a slow viewer', () => {
  test('loses output beyond 1 MiB, which a notice states, and slows neither the process nor another viewer', async () => {
    const command = `read -r line; seq 1 400000; echo "the end"; while read -r line; do echo "got <$line>"; done`
    const { graph, view } = await openSocket({ ...prompt, command })
    const slow = view()
    const fast = view().read()
    await fast.shows('101 Switching')
    fast.type('go\r')
    await fast.shows('the end')
    await graph.stdout.holds('the end')
    slow.read()
    await slow.shows('output was dropped, because this terminal was too slow')
    fast.type('again\r')
    await slow.shows('got <again>')
    expect(fast.text.length).toBeGreaterThan(2.5 * MIB)
    expect(slow.text.length).toBeLessThan(2 * MIB)
    expect(slow.text).not.toContain('the end')
  })

  test('has at most about 1 MiB of unsent notices', async () => {
    const path = temporarySocket()
    const server = createServer().listen(path)
    closeAfterTest(server)
    const viewer = connect(path)
    onTestFinished(() => void viewer.destroy())
    const [socket] = await once(server, 'connection')
    const terminal = new ProcessTerminal()
    attachViewer('a', terminal, socket, { columns: 80, rows: 24 })
    const child = { pid: 1, input: socket, resize: () => undefined }
    for (let start = 0; start < 100_000; start++) terminal.childStarted(child)
    expect(socket.writableLength).toBeLessThan(1.1 * MIB)
  })
})

test('a viewer sees the whole output of a child before the notice of its exit', async () => {
  const { view } = await openSocket({
    ...prompt,
    command: 'read -r line; seq 1 20000; exit 3',
    restart: { policy: 'never' },
  })
  const viewer = view().read()
  await viewer.shows('101 Switching')
  viewer.type('go\r')
  await viewer.shows('exited with code 3')
  expect(viewer.text).toMatch(/19999\r\n20000\r\n\r\n\[a: exited with code 3\]/)
})

test('a viewer that sends anything but messages is disconnected, and later messages have no effect', async () => {
  const { graph, view } = await openSocket(prompt)
  await graph.stdout.holds('is up')
  const viewer = view().read()
  await viewer.shows('is up')
  viewer.socket.write(`nonsense\n${JSON.stringify({ input: Buffer.from('typed\r').toString('base64') })}\n`)
  await once(viewer.socket, 'close')
  const other = view().read()
  await other.shows('is up')
  other.type('more\r')
  await other.shows('got <more>')
  expect(other.text).not.toContain('typed')
})
