import { request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { z } from 'zod'
import { errorAnswer } from '../supervisor/control/status.ts'

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

/** Talks to the orchestrator that runs a configuration, through its socket. */
export class ControlClient {
  readonly #socketPath: string
  readonly #config: string

  /** `config` is what people call the file. */
  constructor(socketPath: string, config: string) {
    this.#socketPath = socketPath
    this.#config = config
  }

  async call<T>(method: 'GET' | 'POST', path: string, answer: z.ZodType<T>, body?: object): Promise<T> {
    const response = await this.open(method, path, body)
    return answer.parse(JSON.parse(await text(response)))
  }

  /** The answer, to be read as it comes. Throws a ControlError if nobody listens, or the answer is an error. */
  async open(method: 'GET' | 'POST', path: string, body?: object): Promise<IncomingMessage> {
    const sent = body === undefined ? '' : JSON.stringify(body)
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { host: 'control', 'content-length': Buffer.byteLength(sent) }
      request({ socketPath: this.#socketPath, method, path, headers }, resolve)
        .once('error', (error) => reject(this.#describe(error)))
        .end(sent)
    })
    if (response.statusCode === 200) return response
    const { error } = errorAnswer.parse(JSON.parse(await text(response)))
    throw new ControlError(error, REFUSED)
  }

  #describe(error: Error): ControlError {
    const code = 'code' in error ? error.code : null
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      return new ControlError(
        `no orchestrator runs ${this.#config}; start one with: ponix-orchestrator --config ${this.#config}`,
        NOT_RUNNING,
      )
    }
    if (code === 'ECONNRESET') return new ControlError('the orchestrator has ended', NOT_RUNNING)
    return new ControlError(`cannot reach the orchestrator of ${this.#config}: ${error.message}`, NOT_RUNNING)
  }
}
