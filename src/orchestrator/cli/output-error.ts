import { codeOf, messageOf } from '../config/errors.ts'

/** The errors of a stream whose reader has closed it. */
const READER_IS_GONE = ['EPIPE', 'ECONNRESET']

/**
 * Ends the program after an error of stdout: quietly, with the exit code so far, if the reader is gone, as in `… | head -1`;
 * otherwise, such as on a full disk, with a message and exit code 1.
 */
export function exitOnOutputError(error: Error): never {
  if (!READER_IS_GONE.includes(codeOf(error) ?? '')) {
    console.error(`ponix-orchestrator: cannot write to stdout: ${messageOf(error)}`)
    process.exitCode = 1
  }
  process.exit()
}
