import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** Writes texts to stdout with back-pressure. A closed pipe (`| head`) ends the work without an error. */
export async function print(texts: Iterable<string> | AsyncIterable<string>): Promise<void> {
  try {
    await pipeline(Readable.from(texts), process.stdout, { end: false })
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EPIPE') throw error
  }
}
