import http, { type IncomingMessage } from 'node:http'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import type { z } from 'zod'
import { codeOf, ControlError } from '../config/errors.ts'
import { CONFIG_HEADER, errorAnswer } from '../control/protocol.ts'
import { type RunFolder, isRunning, readRecord, type RunRecord } from '../supervisor/guard/run-folder.ts'
import { sleep } from '../supervisor/timers.ts'

const REFUSED = 1
const NOT_RUNNING = 3

/** One that runs but has no socket yet has only just been started. */
const PATIENCE_MS = 5000
const LOOK_EVERY_MS = 20

export interface ControlPlace {
  /** What people call the file. */
  readonly config: string
  readonly folder: RunFolder
  /** Where an orchestrator listens that has left no record here: one that was started in other surroundings. */
  readonly socketPath: string
}

/** Talks to the orchestrator that runs a configuration, through its socket. */
export class ControlClient {
  readonly #place: ControlPlace

  constructor(place: ControlPlace) {
    this.#place = place
  }

  async call<T>(method: 'GET' | 'POST', path: string, answer: z.ZodType<T>, body?: object): Promise<T> {
    const response = await this.open(method, path, body)
    return understand(await text(response), answer)
  }

  /** The answer, to be read as it comes. Throws a ControlError if nobody listens, or the answer is an error. */
  async open(method: 'GET' | 'POST', path: string, body?: object): Promise<IncomingMessage> {
    const response = await this.#send(method, path, body)
    if (response.statusCode === 200) return response
    const { error } = understand(await text(response), errorAnswer)
    throw new ControlError(error, REFUSED)
  }

  async #send(method: 'GET' | 'POST', path: string, body?: object): Promise<IncomingMessage> {
    const { config, folder, socketPath } = this.#place
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      const before = runningRecord(folder)
      if (before !== null && before.socket === null) throw this.#takesNone(before)
      try {
        return await request({ socketPath: before?.socket ?? socketPath, method, path }, resolve(config), body)
      } catch (error) {
        const record = runningRecord(folder)
        const isStarting = isNobodyThere(error) && record !== null
        if (!isStarting || performance.now() > until) throw this.#describe(error, record)
      }
      await sleep(LOOK_EVERY_MS)
    }
  }

  #takesNone({ pid }: RunRecord): ControlError {
    const { config } = this.#place
    return new ControlError(
      `the orchestrator that runs ${config} (pid ${pid}) takes no commands: "control" is false`,
      REFUSED,
    )
  }

  #describe(error: unknown, record: RunRecord | null): ControlError {
    const { config } = this.#place
    if (isNobodyThere(error) && record !== null) {
      const message = `the orchestrator that runs ${config} (pid ${record.pid}) does not listen at ${record.socket}: its output says why`
      return new ControlError(message, REFUSED)
    }
    if (isNobodyThere(error)) {
      return new ControlError(
        `no orchestrator runs ${config}; start one with: ponix-orchestrator --config ${config}`,
        NOT_RUNNING,
      )
    }
    if (codeOf(error) === 'ECONNRESET') return new ControlError('the orchestrator has ended', NOT_RUNNING)
    return new ControlError(`cannot reach the orchestrator of ${config}: ${String(error)}`, NOT_RUNNING)
  }
}

function understand<T>(said: string, answer: z.ZodType<T>): T {
  try {
    return answer.parse(JSON.parse(said))
  } catch {
    throw new ControlError('what listens there does not answer as this ponix-orchestrator does', REFUSED)
  }
}

function runningRecord({ recordPath }: RunFolder): RunRecord | null {
  const record = readRecord(recordPath)
  return record !== null && isRunning(record) ? record : null
}

function isNobodyThere(error: unknown): boolean {
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
