// `npm run generate:picture`: runs examples/shop, presses Ctrl-C after its worker has crashed, and writes the output of the terminal
// as docs/terminal.svg. Requires a build.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root } from './tools.mjs'

const COLUMN = 8.4
const ROW = 20
const MARGIN = 20
const BACKGROUND = '#1e2430'
const TEXT = '#d8dee9'
const PROMPT = '#7f8ba3'
/** The colours of SGR codes that the orchestrator uses. */
const COLOURS = { 31: '#e06c75', 32: '#98c379', 33: '#e5c07b', 34: '#61afef', 35: '#c678dd', 36: '#56b6c2', 90: PROMPT }

const lines = ['\u001b[90m$\u001b[39m npx ponix-orchestrator', ...(await recordRun())]
await writeFile(join(root, 'docs', 'terminal.svg'), render(lines))

/** Runs the example; resolves to its lines with their escape sequences. stdout and stderr share a pipe, so their order is kept. */
async function recordRun() {
  const program = `exec "$0" "$1" --config "$2" 2>&1`
  const args = [process.execPath, join(root, 'dist', 'cli.js'), join(root, 'examples', 'shop', 'commonplace.json')]
  const child = spawn('/bin/sh', ['-c', program, ...args], {
    env: { ...process.env, FORCE_COLOR: '1', COLUMNS: '100' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  let isInterrupted = false
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
    if (isInterrupted || !/started again[^]*1017/.test(text)) return
    isInterrupted = true
    text += '^C\n'
    child.kill('SIGINT')
  })
  await once(child, 'close')
  return text.trimEnd().split('\n')
}

function render(lines) {
  // oxlint-disable-next-line eslint/no-control-regex -- the escape sequences are what is measured
  const columns = Math.max(...lines.map((line) => line.replaceAll(/\u001b\[\d*m/g, '').length))
  const width = Math.ceil(columns * COLUMN + 2 * MARGIN)
  const height = lines.length * ROW + 2 * MARGIN
  const rows = lines.map(
    (line, index) =>
      `<text x="${MARGIN}" y="${MARGIN + index * ROW + 14}" xml:space="preserve">${spansOf(line)}</text>`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="A terminal with the output of ponix-orchestrator: four processes start in order, one crashes and restarts, Ctrl-C stops all">
<rect width="100%" height="100%" rx="8" fill="${BACKGROUND}"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="${TEXT}">
${rows.join('\n')}
</g>
</svg>
`
}

function spansOf(line) {
  let [fill, isBold] = [null, false]
  // oxlint-disable-next-line eslint/no-control-regex -- SGR sequences begin with ESC
  const parts = line.split(/\u001b\[(\d*)m/)
  return parts
    .map((part, index) => {
      if (index % 2 === 0) return span(part, fill, isBold)
      if (part in COLOURS) fill = COLOURS[part]
      else if (part === '39') fill = null
      else if (part === '1') isBold = true
      else if (part === '22') isBold = false
      else [fill, isBold] = [null, false]
      return ''
    })
    .join('')
}

function span(text, fill, isBold) {
  if (text === '') return ''
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const attributes = [...(fill === null ? [] : [`fill="${fill}"`]), ...(isBold ? ['font-weight="bold"'] : [])]
  return attributes.length === 0 ? escaped : `<tspan ${attributes.join(' ')}>${escaped}</tspan>`
}
