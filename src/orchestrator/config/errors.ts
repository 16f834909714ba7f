/**
 * An error that the user can correct. The command line prints `message` and exits with `exitCode`: 2 if the command line, the
 * configuration or the environment is wrong, 1 if a request was rejected or an address is in use, 3 without an orchestrator.
 */
export class UserError extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = 2, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** A mistake in the configuration file. Lines and columns count from 1. No part of it contains a secret. */
export interface ConfigProblem {
  /** The path of the file as shown in messages. */
  readonly file: string
  /** A path such as `processes.store.args[1]`; empty for the document as a whole. */
  readonly path: string
  readonly line: number
  readonly column: number
  /** The expected and the actual value. */
  readonly message: string
}

/**
 * The configuration cannot be used. `problems` is in the order of the files, and empty if a file cannot be read or a requested
 * name does not fit it. `message` has one line for each problem, then the number of problems if there are several.
 */
export class ConfigError extends UserError {
  override readonly name = 'ConfigError'
  readonly problems: readonly ConfigProblem[]
  readonly #text: string

  /** `text` has one line for each problem. */
  constructor(text: string, problems: readonly ConfigProblem[] = [], options?: ErrorOptions) {
    super(problems.length > 1 ? `${text}\n${countOf(problems)}` : text, 2, options)
    this.problems = problems
    this.#text = text
  }

  /** Returns the problems in one line, without their positions. */
  describeProblems(): string {
    const texts = this.problems.map(({ path, message }) => `${path}: ${message}`)
    return texts.length === 0 ? this.#text.replaceAll('\n', '; ') : texts.join('; ')
  }

  /** Returns the message for a reload, which the error prevents. */
  describeReload(): string {
    const separator = this.problems.length === 0 ? ';' : `\n${countOf(this.problems)};`
    return `${this.#text}${separator} nothing was changed, everything keeps running`
  }
}

function countOf(problems: readonly ConfigProblem[]): string {
  const files = [...new Set(problems.map(({ file }) => file))]
  return `${problems.length} ${problems.length === 1 ? 'error' : 'errors'} in ${files.join(' and ')}`
}

/** The text is not JSON: `message` states the expectation, `offset` the position in UTF-16 units. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError'
  readonly offset: number

  constructor(message: string, offset: number) {
    super(message)
    this.offset = offset
  }
}

/** A request to the control API that is rejected with an HTTP `status`. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/**
 * Returns the reason of an error, without its class. A connection to a name with several addresses fails with one error per
 * address; execa's wording of a failed start is omitted.
 */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ')
  if (!(error instanceof Error)) return String(error)
  const original: unknown = 'originalMessage' in error ? error.originalMessage : undefined
  return typeof original === 'string' && original !== '' ? original : error.message
}

/** Returns the code of a system error, such as `ENOENT`; null if it has none. */
export function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}

/** Returns the reason of a system error such as `ENOSPC: no space left on device, write` as `no space left on device (ENOSPC)`. */
export function systemReason(error: unknown): string {
  return messageOf(error).replace(/^(E[A-Z0-9]+): ([^,]*).*$/s, '$2 ($1)')
}

const reasons = new Map([
  ['ENOENT', 'does not exist'],
  ['ENOTDIR', 'does not exist'],
  ['EACCES', 'cannot be read: permission denied'],
  ['EPERM', 'cannot be read: permission denied'],
  ['EISDIR', 'is a folder, not a file'],
  ['ELOOP', 'is a symbolic link loop'],
  ['ENAMETOOLONG', 'has a name that is too long'],
])

/** Returns the reason why a file could not be read, as the end of a sentence that begins with its name. */
export function describeFileError(error: unknown): string {
  const code = codeOf(error) ?? 'unknown error'
  return reasons.get(code) ?? `cannot be read (${code})`
}
