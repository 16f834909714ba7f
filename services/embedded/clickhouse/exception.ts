/** An error in ClickHouse's form: code and name for clients, and a message. */
export class ClickHouseException extends Error {
  override readonly name = 'ClickHouseException'
  readonly code: number
  /** `UNKNOWN_TABLE` */
  readonly codeName: string

  constructor(code: number, codeName: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.codeName = codeName
  }

  /** Renders the body of the answer, which clients parse. */
  toText(version: string): string {
    const text = this.message.replace(/\.$/, '')
    return `Code: ${this.code}. DB::Exception: ${text}. (${this.codeName}) (version ${version} (embedded))\n`
  }
}

const ENGINE_MESSAGE = /^Code: (\d+)\. DB::Exception: (.*)\(([A-Z0-9_]+)\)\s*$/s
/** The engine quotes the exception of a nested step in its own exception. */
const WRAPPED = /^Code: \d+\. DB::Exception: (.*) \([A-Z0-9_]+\) \(version [^)]*\)\. $/s

/** Converts any error of the engine or this server to an exception with a code. */
export function toException(error: unknown): ClickHouseException {
  if (error instanceof ClickHouseException) return error
  const message = error instanceof Error ? error.message : String(error)
  const [, code, text, codeName] = ENGINE_MESSAGE.exec(message) ?? []
  if (code === undefined || text === undefined || codeName === undefined) {
    const [number, name] = codeOfSystemError(error)
    return new ClickHouseException(number, name, message, { cause: error })
  }
  return new ClickHouseException(Number(code), codeName, (WRAPPED.exec(text)?.[1] ?? text).trim(), { cause: error })
}

function codeOfSystemError(error: unknown): readonly [code: number, codeName: string] {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code.startsWith('Z_') || code.startsWith('ERR__ERROR_FORMAT')) return [354, 'ZLIB_INFLATE_FAILED']
  if (code === 'ENOSPC' || code === 'EDQUOT') return [243, 'NOT_ENOUGH_SPACE']
  return [1002, 'UNKNOWN_EXCEPTION']
}

const CODES_OF_STATUS: ReadonlyArray<readonly [status: number, codes: readonly number[]]> = [
  [400, [6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676]],
  [401, [194]],
  [403, [192, 193, 497, 512, 516]],
  [404, [46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511]],
  [408, [159]],
  [411, [381]],
  [413, [229]],
  [415, [779]],
  [501, [48]],
  [503, [76, 209, 439]],
]
const STATUS_OF_CODE = new Map(CODES_OF_STATUS.flatMap(([status, codes]) => codes.map((code) => [code, status])))

/** Returns ClickHouse's HTTP status for an exception code. */
export function httpStatusOf(code: number): number {
  return STATUS_OF_CODE.get(code) ?? 500
}
