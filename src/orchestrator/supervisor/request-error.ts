/** A request to the control API that cannot be met; `message` is one line for people. */
export class RequestError extends Error {
  readonly code = 'request'
  /** HTTP status of the answer. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'RequestError'
    this.status = status
  }
}
