import http, { type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { z } from 'zod'
import { errorAnswer } from '../supervisor/control/status.ts'
import type { RunFolder } from '../supervisor/guard/run-folder.ts'
import { isRunning, readRecord } from '../supervisor/guard/run-record.ts'
import { sleep } from '../supervisor/sleep.ts'

/** The request could not be met; `message` is one line for people. `exitCode` is what the command ends with. */
export class ControlError extends Error {
  readonly code = 'control'
  readonly exitCode: number

  constructor(message: string, exitCode: number) {
    super(message)
    this.name = 'ControlError'
    this.exitCode = exitCode
  }
}

const REFUSED = 1
const NOT_RUNNING = 3

/** One that runs but has no socket yet has only just been started. */
const PATIENCE_MS = 5000
const LOOK_EVERY_MS = 20

/** Talks to the orchestrator that runs a configuration, through its socket. */
export class ControlClient {
  readonly #folder: RunFolder
  readonly #config: string

  /** `config` is what people call the file. */
  constructor(folder: RunFolder, config: string) {
    this.#folder = folder
    this.#config = config
  }

  async call<T>(method: 'GET' | 'POST', path: string, answer: z.ZodType<T>, body?: object): Promise<T> {
    const response = await this.open(method, path, body)
    return answer.parse(JSON.parse(await text(response)))
  }

  /** The answer, to be read as it comes. Throws a ControlError if nobody listens, or the answer is an error. */
  async open(method: 'GET' | 'POST', path: string, body?: object): Promise<IncomingMessage> {
    const response = await this.#send(method, path, body)
    if (response.statusCode === 200) return response
    const { error } = errorAnswer.parse(JSON.parse(await text(response)))
    throw new ControlError(error, REFUSED)
  }

  async #send(method: 'GET' | 'POST', path: string, body?: object): Promise<IncomingMessage> {
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      try {
        return await request(this.#folder.socketPath, method, path, body)
      } catch (error) {
        const record = readRecord(this.#folder.recordPath)
        const isStarting = isNobodyThere(error) && record !== null && isRunning(record)
        if (!isStarting || performance.now() > until) throw this.#describe(error)
      }
      await sleep(LOOK_EVERY_MS)
    }
  }

  #describe(error: unknown): ControlError {
    if (isNobodyThere(error)) {
      return new ControlError(
        `no orchestrator runs ${this.#config}; start one with: ponix-orchestrator --config ${this.#config}`,
        NOT_RUNNING,
      )
    }
    if (codeOf(error) === 'ECONNRESET') return new ControlError('the orchestrator has ended', NOT_RUNNING)
    return new ControlError(`cannot reach the orchestrator of ${this.#config}: ${String(error)}`, NOT_RUNNING)
  }
}

function isNobodyThere(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ECONNREFUSED'
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : null
}

function request(socketPath: string, method: string, path: string, body?: object): Promise<IncomingMessage> {
  const sent = body === undefined ? '' : JSON.stringify(body)
  const headers = { host: 'control', 'content-length': Buffer.byteLength(sent) }
  return new Promise((resolve, reject) => {
    http.request({ socketPath, method, path, headers }, resolve).once('error', reject).end(sent)
  })
}
