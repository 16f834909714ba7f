import { stripVTControlCharacters } from 'node:util'
import { parentPort, workerData } from 'node:worker_threads'

/*
 * The worker thread of `Grep`: receives the pattern, then lists of texts, and answers each with a list of booleans. A line with
 * escape sequences matches as it is, or as it looks without them.
 */

if (workerData instanceof RegExp) {
  const pattern = workerData
  const matches = (text: string): boolean =>
    pattern.test(text) || (text.includes('\u001b') && pattern.test(stripVTControlCharacters(text)))
  parentPort?.on('message', (texts: readonly string[]) => parentPort?.postMessage(texts.map(matches), []))
}
