import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type WaitAnswer, waitAnswerSchema } from '../../../src/orchestrator/control/protocol.ts'
import { runFolder } from '../../../src/orchestrator/supervisor/guard/run-folder.ts'
import type { CommandLine } from './command-line.ts'

/** A request to wait that the orchestrator has received. */
export interface PendingWait {
  /** Rejects if the orchestrator ends before it answers. */
  readonly answer: Promise<WaitAnswer>
}

/** Sends `GET /wait` with these parameters. Resolves when the orchestrator waits, so that everything that follows happens later. */
export async function requestWait(
  { folder }: CommandLine,
  parameters: Readonly<Record<string, string>>,
): Promise<PendingWait> {
  const { socketPath } = runFolder(join(folder, 'commonplace.json'), { XDG_RUNTIME_DIR: folder })
  const path = `/wait?${new URLSearchParams(parameters).toString()}`
  // The server confirms in the same turn in which it begins to wait.
  const sent = request({ socketPath, path, headers: { expect: '100-continue', 'content-length': '0' } })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve).once('error', reject)
  })
  const answer = answered.then(text).then((body) => waitAnswerSchema.parse(JSON.parse(body)))
  answer.catch(() => undefined)
  await once(sent, 'continue')
  sent.end()
  return { answer }
}
