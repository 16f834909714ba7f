import { existsSync } from 'node:fs'
import http, { type IncomingMessage } from 'node:http'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import type { z } from 'zod'
import { configuredSocket } from '../config/control.ts'
import { codeOf, UserError, messageOf } from '../config/errors.ts'
import { CONFIG_HEADER, errorAnswer } from '../control/protocol.ts'
import { isRunning, readRecord, type RunFolder, runFolder, type RunRecord } from '../supervisor/guard/run-folder.ts'
import { sleep } from '../supervisor/timers.ts'
import type { FileOptions } from './options.ts'

const REJECTED = 1
const NOT_RUNNING = 3

/** The time in which an orchestrator that has just started creates its socket. */
const START_TIMEOUT_MS = 5000
const RETRY_MS = 20

type Method = 'GET' | 'POST'

/** Sends requests to the orchestrator of a configuration file through its socket. Failures are UserErrors. */
export class ControlClient {
  /** The path of the configuration file, as typed. */
  readonly #config: string
  readonly #folder: RunFolder
  /** Used if the orchestrator has left no record in `folder`: it may run with another XDG_RUNTIME_DIR. */
  readonly #defaultSocket: string

  constructor({ config }: FileOptions) {
    this.#config = config
    this.#folder = runFolder(config, process.env)
    this.#defaultSocket = configuredSocket(config, process.env) ?? this.#folder.socketPath
  }

  async call<T>(method: Method, path: string, answer: z.ZodType<T>, body?: object): Promise<T> {
    const response = await this.open(method, path, body)
    return parseAnswer(await text(response), answer)
  }

  /** Sends a request; resolves to the response as a stream. */
  async open(method: Method, path: string, body?: object): Promise<IncomingMessage> {
    const response = await this.#send(method, path, body)
    if (response.statusCode === 200) return response
    const { error } = parseAnswer(await text(response), errorAnswer)
    throw new UserError(error, REJECTED)
  }

  async #send(method: Method, path: string, body?: object): Promise<IncomingMessage> {
    const deadline = performance.now() + START_TIMEOUT_MS
    for (;;) {
      const before = this.#runningRecord()
      if (before !== null && before.socket === null) {
        const message = `the orchestrator that runs ${this.#config} (pid ${before.pid}) accepts no commands: "control" is false`
        throw new UserError(message, REJECTED)
      }
      try {
        const socketPath = before?.socket ?? this.#defaultSocket
        return await request({ socketPath, method, path }, resolve(this.#config), body)
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
    if (!hasNoListener(error)) {
      if (codeOf(error) === 'ECONNRESET') return new UserError('the orchestrator has ended', NOT_RUNNING)
      return new UserError(`cannot reach the orchestrator of ${config}: ${messageOf(error)}`, NOT_RUNNING)
    }
    if (record !== null) {
      const message = `the orchestrator that runs ${config} (pid ${record.pid}) does not listen at ${record.socket}; see its output for the reason`
      return new UserError(message, REJECTED)
    }
    const message = `no orchestrator runs ${config}; start one with: ponix-orchestrator --config ${config}`
    return new UserError(message, NOT_RUNNING)
  }
}

/** Settles as the request does. If a name that it rejects is a file, the shell has probably expanded a pattern, and the error says so. */
export async function adviseOnPatterns<T>(names: readonly string[], request: Promise<T>): Promise<T> {
  try {
    return await request
  } catch (error) {
    const message = messageOf(error)
    const path = names.find(
      (name) => message.startsWith(`unknown process ${JSON.stringify(name)};`) && existsSync(name),
    )
    if (path === undefined || !(error instanceof UserError)) throw error
    const advice = `${message} ("${path}" is a file in this folder: if you typed a pattern, quote it, as in 'web*')`
    throw new UserError(advice, error.exitCode)
  }
}

function parseAnswer<T>(received: string, answer: z.ZodType<T>): T {
  try {
    return answer.parse(JSON.parse(received))
  } catch {
    throw new UserError('unexpected response; the control socket belongs to another program or version', REJECTED)
  }
}

function hasNoListener(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ECONNREFUSED'
}

function request(options: http.RequestOptions, config: string, body?: object): Promise<IncomingMessage> {
  const sent = body === undefined ? '' : JSON.stringify(body)
  const headers = {
    host: 'control',
    [CONFIG_HEADER]: encodeURIComponent(config),
    'content-length': Buffer.byteLength(sent),
  }
  return new Promise((resolveWith, reject) => {
    http
      .request({ ...options, headers }, resolveWith)
      .once('error', reject)
      .end(sent)
  })
}
