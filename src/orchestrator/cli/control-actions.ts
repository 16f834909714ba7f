import type { ControlClient } from './control-client.ts'
import { describeNeededRestart } from './needed-restart.ts'
import { renderStatus } from './status-table.ts'
import { reloadAnswer, statusAnswer } from '../control/status.ts'

/** What is asked of named processes. */
export type ProcessAction = 'start' | 'stop' | 'restart'

/** `start`, `stop` and `restart`: shows how the processes stand afterwards; exit code 1 if one that should be up is not. */
export async function act(client: ControlClient, action: ProcessAction, names: readonly string[]): Promise<number> {
  const { processes } = await client.call('POST', `/${action}`, statusAnswer, { processes: names })
  const chosen = processes.filter(({ name }) => names.includes(name) || names.includes(groupOf(name)))
  process.stdout.write(renderStatus(chosen, process.stdout.isTTY && process.stdout.hasColors()))
  return action !== 'stop' && chosen.some(({ state }) => state === 'failed' || state === 'skipped') ? 1 : 0
}

/** The name in the file of an instance such as `worker#2`. */
function groupOf(name: string): string {
  return name.replace(/#\d+$/, '')
}

/** `reload`: the running orchestrator reads its file again (O-39). */
export async function reload(client: ControlClient): Promise<number> {
  const answer = await client.call('POST', '/reload', reloadAnswer)
  const parts = (['added', 'removed', 'changed'] as const).flatMap((kind) =>
    answer[kind].length === 0 ? [] : [`${kind}: ${answer[kind].join(', ')}`],
  )
  const restart = answer.needs_restart.length === 0 ? [] : [describeNeededRestart(answer)]
  const said = [...parts, ...restart]
  process.stdout.write(`${said.length === 0 ? 'nothing has changed' : said.join('; ')}\n`)
  return 0
}

/** `down`: stops everything in order, and the orchestrator; resolves when it has ended. */
export async function down(client: ControlClient): Promise<number> {
  // This one is open until the orchestrator ends.
  const open = await client.open('GET', '/logs?tail=0&follow=1')
  const ended = new Promise((resolve) =>
    open
      .resume()
      .on('error', () => undefined)
      .once('close', resolve),
  )
  await client.call('POST', '/down', statusAnswer)
  await ended
  process.stdout.write('everything is stopped\n')
  return 0
}
