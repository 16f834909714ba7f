import { existsSync } from 'node:fs'
import http, { type IncomingMessage } from 'node:http'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { type Duplex, PassThrough, type Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { z } from 'zod'
import { configuredSocket } from '../../config/control.ts'
import { codeOf, UserError, messageOf } from '../../config/errors.ts'
import { ownCommand } from '../../config/own-command.ts'
import { errorAnswer } from '../../control/protocol.ts'
import { CONFIG_HEADER } from '../../control/requests.ts'
import {
  existingRunFolder,
  isRunning,
  orphansOf,
  readRecord,
  type RunFolder,
  type RunRecord,
} from '../../supervisor/guard/run-folder.ts'
import { sleep, Timer } from '../../supervisor/timers.ts'
import type { FileOptions } from '../options.ts'

/** The exit code of a command whose request was rejected. */
export const REJECTED = 1
const NOT_RUNNING = 3

/** The time in which an orchestrator that has just started creates its socket. */
const START_TIMEOUT_MS = 5000
const RETRY_MS = 20

/** The time in which an orchestrator that is not suspended or blocked begins to answer. */
const ANSWER_TIMEOUT_MS = 10_000

type Method = 'GET' | 'POST'

interface RequestOptions {
  /** The names of processes in the request, as typed. */
  readonly names?: readonly string[]
  readonly body?: object
  /** False: waits without limit for an orchestrator that does not answer. */
  readonly hasTimeLimit?: boolean
  /** Ends the request; then it rejects. */
  readonly signal?: AbortSignal
  /** The protocol to which the connection changes. */
  readonly protocol?: string
}

/** The orchestrator ended before it answered. */
export class EndedError extends UserError {}

/** Returns whether a request failed because no orchestrator runs the file, or it has ended meanwhile. */
export function isNotRunning(error: unknown): boolean {
  return error instanceof UserError && error.exitCode === NOT_RUNNING
}

/** Sends requests to the orchestrator of a configuration file through its socket. Failures are UserErrors. */
export class ControlClient {
  /** The path of the configuration file, as typed. */
  readonly #config: string
  readonly #folder: RunFolder
  /** Used if the orchestrator has left no record in `folder`: it may run with another XDG_RUNTIME_DIR. */
  readonly #defaultSocket: string

  constructor({ config }: Pick<FileOptions, 'config'>) {
    this.#config = config
    this.#folder = existingRunFolder(config, process.env)
    this.#defaultSocket = configuredSocket(config, process.env) ?? this.#folder.socketPath
  }

  async call<T>(method: Method, path: string, answer: z.ZodType<T>, options?: RequestOptions): Promise<T> {
    const response = await this.open(method, path, options)
    return parseAnswer(await text(response), answer)
  }

  /** Sends a request; resolves to the response as a stream. */
  async open(method: Method, path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
    const response = await this.#send(method, path, options)
    if (response.statusCode === 200) return response
    const { error } = parseAnswer(await text(response), errorAnswer)
    throw new UserError(adviseOnPatterns(error, options.names), REJECTED)
  }

  /** Sends a request; resolves to the lines of the response, which end also when the orchestrator ends. */
  async lines(path: string, options?: RequestOptions): Promise<AsyncIterable<string>> {
    const response = await this.open('GET', path, options)
    const text = new PassThrough()
    // An orchestrator that ends resets the connection.
    response.on('error', () => text.end()).pipe(text)
    return linesOf(text)
  }

  /** Changes a connection to another protocol; resolves to its stream. */
  async upgrade(path: string, protocol: string): Promise<Duplex> {
    const response = await this.#send('GET', path, { protocol })
    if (response.statusCode === 101) return response.socket
    throw new UserError(parseAnswer(await text(response), errorAnswer).error, REJECTED)
  }

  async #send(method: Method, path: string, options: RequestOptions): Promise<IncomingMessage> {
    const deadline = performance.now() + START_TIMEOUT_MS
    for (;;) {
      const before = this.#runningRecord()
      if (before !== null && before.socket === null) {
        const message = `the orchestrator that runs ${this.#config} (pid ${before.pid}) accepts no commands: "control" is false`
        throw new UserError(message, REJECTED)
      }
      try {
        const socketPath = before?.socket ?? this.#defaultSocket
        return await request({ socketPath, method, path }, resolve(this.#config), options)
      } catch (error) {
        const record = this.#runningRecord()
        const isStarting = hasNoListener(error) && record !== null
        if (!isStarting || performance.now() > deadline) throw this.#describe(error, record)
      }
      await sleep(RETRY_MS)
    }
  }

  #runningRecord(): RunRecord | null {
    const record = readRecord(this.#folder.recordPath)
    return record !== null && isRunning(record) ? record : null
  }

  #describe(error: unknown, record: RunRecord | null): UserError {
    const config = this.#config
    if (error instanceof NoAnswerError || codeOf(error) === 'ABORT_ERR') {
      const manner =
        error instanceof NoAnswerError ? `has not answered within ${ANSWER_TIMEOUT_MS / 1000} s` : 'does not answer'
      return new UserError(describeSilence(config, record?.pid ?? null, manner), REJECTED)
    }
    if (!hasNoListener(error)) {
      if (codeOf(error) === 'ECONNRESET') return new EndedError('the orchestrator has ended', NOT_RUNNING)
      return new UserError(`cannot reach the orchestrator of ${config}: ${messageOf(error)}`, NOT_RUNNING)
    }
    if (record !== null) {
      const message = `the orchestrator that runs ${config} (pid ${record.pid}) does not listen at ${record.socket}; see its output for the reason`
      return new UserError(message, REJECTED)
    }
    const killed = readRecord(this.#folder.recordPath)
    const orphans = killed === null ? 0 : orphansOf(killed).length
    if (killed !== null && orphans > 0) {
      return new UserError(`no orchestrator runs ${config}: ${describeOrphans(killed, orphans, config)}`, NOT_RUNNING)
    }
    const message = `no orchestrator runs ${config}; start one with: ${ownCommand('', { config })}`
    return new UserError(message, NOT_RUNNING)
  }
}

/** Returns a sentence about the processes that a killed orchestrator has left, and how to stop them. */
export function describeOrphans({ pid }: Pick<RunRecord, 'pid'>, orphans: number, config: string): string {
  const processes = orphans === 1 ? '1 of its processes still runs' : `${orphans} of its processes still run`
  return `pid ${pid} was killed, and ${processes}; stop ${orphans === 1 ? 'it' : 'them'} with: ${ownCommand('down', { config })}`
}

/** Returns the parameters of a request about processes. */
export function processQuery(names: readonly string[]): URLSearchParams {
  return new URLSearchParams(names.map((name): [string, string] => ['process', name]))
}

/** Adds advice to the reason of a rejection about a name that is a file: then the shell has probably expanded a pattern. */
function adviseOnPatterns(reason: string, names: readonly string[] = []): string {
  const path = names.find((name) => reason.startsWith(`unknown process ${JSON.stringify(name)};`) && existsSync(name))
  if (path === undefined) return reason
  return `${reason} ("${path}" is a file in this folder: if you typed a pattern, quote it, as in 'web*')`
}

async function* linesOf(text: Readable): AsyncGenerator<string> {
  yield* createInterface({ input: text })
}

function parseAnswer<T>(received: string, answer: z.ZodType<T>): T {
  try {
    return answer.parse(JSON.parse(received))
  } catch {
    throw new UserError('unexpected response; the control socket belongs to another program or version', REJECTED)
  }
}

/** The orchestrator has accepted the connection and sent nothing within the time limit. */
class NoAnswerError extends Error {}

function describeSilence(config: string, pid: number | null, manner: string): string {
  const subject = `the orchestrator that runs ${config}${pid === null ? '' : ` (pid ${pid})`}`
  const id = pid ?? 'PID'
  return `${subject} ${manner}: it is suspended or blocked; resume it with "fg" in its terminal or "kill -CONT ${id}", or end it with "kill -KILL ${id}", after which its guard stops the processes`
}

function hasNoListener(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ECONNREFUSED'
}

/**
 * Resolves to the response. The server answers `Expect: 100-continue` as soon as it has read the headers, even if the response
 * takes long, so a server that answers neither is suspended or blocked: then it rejects with a NoAnswerError.
 */
function request(
  target: http.RequestOptions,
  config: string,
  { body, hasTimeLimit = true, signal, protocol }: RequestOptions,
): Promise<IncomingMessage> {
  const sent = body === undefined ? '' : JSON.stringify(body)
  const headers = {
    host: 'control',
    [CONFIG_HEADER]: encodeURIComponent(config),
    'content-length': Buffer.byteLength(sent),
    ...(protocol === undefined ? { expect: '100-continue' } : { connection: 'Upgrade', upgrade: protocol }),
  }
  const timer = new Timer()
  return new Promise<IncomingMessage>((resolveWith, reject) => {
    const pending = http
      .request({ ...target, headers, ...(signal === undefined ? {} : { signal }) }, resolveWith)
      .once('continue', () => timer.clear())
      .once('upgrade', (response, socket, head) => {
        if (head.length > 0) socket.unshift(head)
        resolveWith(response)
      })
      .once('error', reject)
    if (hasTimeLimit) timer.set(ANSWER_TIMEOUT_MS, () => pending.destroy(new NoAnswerError()))
    pending.end(sent)
  }).finally(() => timer.clear())
}
