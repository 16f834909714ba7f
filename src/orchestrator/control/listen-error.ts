/** The control API cannot be where it should be; `message` says where, why and what to do. */
export class ListenError extends Error {
  readonly code = 'listen'

  constructor(message: string, cause: unknown) {
    super(message, { cause })
    this.name = 'ListenError'
  }
}
