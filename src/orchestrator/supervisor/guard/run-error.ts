/** The run of this configuration cannot begin; `message` is one line for the user. Ends with exit code 2. */
export class RunError extends Error {
  readonly code = 'run'

  constructor(message: string) {
    super(message)
    this.name = 'RunError'
  }
}
