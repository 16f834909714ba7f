import type { ControlClient } from './control-client.ts'
import { renderStatus } from './status-table.ts'
import { statusAnswer } from '../control/status.ts'

/** `status`: what every process of a running orchestrator does (O-9). */
export async function status(client: ControlClient, { json }: { readonly json: boolean }): Promise<number> {
  const answer = await client.call('GET', '/status', statusAnswer)
  const { stdout } = process
  stdout.write(
    json ? `${JSON.stringify(answer)}\n` : renderStatus(answer.processes, stdout.isTTY && stdout.hasColors()),
  )
  return 0
}
