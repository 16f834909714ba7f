import { type ProcessStatus, type StatusAnswer, statusAnswer } from '../../control/protocol.ts'
import { ControlClient, processQuery } from './control-client.ts'
import { cutLines, mostUrgentFirst, renderStatus, statusLines } from './status-table.ts'
import type { FileOptions } from '../options.ts'
import { exitOnSignals } from '../terminal/terminal-mode.ts'

/** The interval in which a terminal shows the usage. */
const REFRESH_MS = 1000
/** The interval in which a table is repeated elsewhere. Only a write shows that the reader of a pipe is gone. */
const REPEAT_MS = 10_000

/**
 * Shows the status and its changes until the orchestrator ends: on a terminal in place, otherwise a table for each
 * change and every ten seconds, or a JSON line for each change.
 */
export async function watchStatus(file: FileOptions, names: readonly string[], json: boolean): Promise<void> {
  const query = processQuery([...names, ...file.only])
  query.set('follow', '1')
  const isScreen = process.stdout.isTTY && !json
  if (!json) query.set('interval_ms', String(isScreen ? REFRESH_MS : REPEAT_MS))
  const lines = await new ControlClient(file).lines(`/status?${query.toString()}`, { names })
  if (isScreen) return showOnScreen(lines)
  let separator = ''
  for await (const line of lines) {
    process.stdout.write(json ? `${line}\n` : separator + renderStatus(parse(line).processes, null))
    separator = '\n'
  }
}

function parse(line: string): StatusAnswer {
  return statusAnswer.parse(JSON.parse(line))
}

/** Switches to the alternate screen, without a cursor. */
const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'
/** Begin and end of a synchronized update, which terminals show as a whole, with the cursor at the top left. */
const BEGIN_FRAME = '\u001b[?2026h\u001b[H'
const END_FRAME = '\u001b[J\u001b[?2026l'
const ERASE_REST_OF_LINE = '\u001b[K'

/** Redraws the table in place. Ctrl-C ends it with exit code 0; then the last table stays on the terminal. */
async function showOnScreen(lines: AsyncIterable<string>): Promise<void> {
  const { stdout } = process
  let processes: readonly ProcessStatus[] = []
  let end = ''
  const draw = () => stdout.write(renderScreen(processes, stdout.columns, stdout.rows))
  exitOnSignals()
  // Also after an error.
  process.once('exit', () => stdout.write(LEAVE + statusLines(processes) + end))
  stdout.write(ENTER)
  stdout.on('resize', draw)
  for await (const line of lines) {
    ;({ processes } = parse(line))
    draw()
  }
  end = 'the orchestrator has ended\n'
}

/** Returns a frame of the processes; if not all fit, those with problems are first. */
function renderScreen(processes: readonly ProcessStatus[], columns: number, rows: number): string {
  const table = renderStatus(processes, columns)
  const fits = table.trimEnd().split('\n').length < rows
  return renderFrame(fits ? table : renderStatus(mostUrgentFirst(processes), columns), columns, rows)
}

/** Returns the output that replaces the previous frame by a table, cut to the size of the terminal. */
export function renderFrame(table: string, columns: number, rows: number): string {
  const lines = cutLines(table.trimEnd(), columns).split('\n')
  const hidden = lines.length - rows + 1
  const shown = hidden > 0 ? [...lines.slice(0, rows - 2), `… ${hidden + 1} more`] : lines
  const drawn = shown.map((line) => `${line}${ERASE_REST_OF_LINE}\r\n`)
  return `${BEGIN_FRAME}${drawn.join('')}${END_FRAME}`
}
