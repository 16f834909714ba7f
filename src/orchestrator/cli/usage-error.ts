/** The command line was used wrongly; `message` is for the user, one line for each mistake. Ends with exit code 2. */
export class UsageError extends Error {
  readonly code = 'usage'

  constructor(message: string) {
    super(message)
    this.name = 'UsageError'
  }
}
