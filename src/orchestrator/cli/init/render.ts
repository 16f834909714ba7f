import type { Draft } from './draft.ts'

const WIDTH = 100

/** Renders a value as JSON: objects and lists on one line if they fit, otherwise one entry per line. */
export function renderJson(value: unknown, indent = '', room = WIDTH): string {
  const inline = renderInline(value)
  if (inline.length <= room - indent.length || typeof value !== 'object' || value === null) return inline
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item !== 'object')) return `[\n${fill(value, inner)}\n${indent}]`
    return `[\n${value.map((item) => `${inner}${renderJson(item, inner)}`).join(',\n')}\n${indent}]`
  }
  const entries = Object.entries(value).map(([key, item]) => {
    const start = `${JSON.stringify(key)}: `
    return `${inner}${start}${renderJson(item, inner, WIDTH - start.length)}`
  })
  return `{\n${entries.join(',\n')}\n${indent}}`
}

/** Renders the items of a list, as many on each line as fit. */
function fill(items: readonly unknown[], indent: string): string {
  const lines: string[] = []
  for (const [index, item] of items.entries()) {
    const text = `${JSON.stringify(item)}${index === items.length - 1 ? '' : ','}`
    const last = lines.at(-1)
    if (last !== undefined && last.length + text.length < WIDTH) lines[lines.length - 1] = `${last} ${text}`
    else lines.push(indent + text)
  }
  return lines.join('\n')
}

function renderInline(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(renderInline).join(', ')}]`
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${renderInline(item)}`)
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`
}

/** A file without a source: it starts, and shows what can be added. */
const example = `    "web": {
      "command": "node",
      "args": ["server.js"],
      // "env": { "PORT": "3000" },
      // Started when the database is ready, and restarted when its own files change:
      // "depends_on": ["db"],
      // "watch": { "paths": ["src"] },
      // "readiness_probe": { "http_get": "http://127.0.0.1:3000/" },
    },
    // "migrate": { "command": "node", "args": ["migrate.js"], "kind": "task" },`

interface RenderOptions {
  /** The name of the file that the processes come from; null without one. */
  readonly source: string | null
  /** The path of the JSON Schema; null if it is not installed. */
  readonly schema?: string | null
}

export function renderFile(
  { processes, envFile, hints = [] }: Omit<Draft, 'notes'>,
  { source, schema = null }: RenderOptions,
): string {
  const entries = Array.from(processes, ([name, process]) => {
    const key = `${JSON.stringify(name)}: `
    return `    ${key}${renderJson(process, '    ', WIDTH - key.length)},`
  })
  const origin = source === null ? '' : ` from ${source}`
  return [
    `// Written by "ponix-orchestrator init"${origin}. "ponix-orchestrator validate" checks this file; comments are allowed.`,
    '{',
    ...(schema === null ? [] : [`  "$schema": ${JSON.stringify(schema)},`]),
    ...(envFile === undefined ? [] : [`  "env_file": ${renderJson(envFile)},`]),
    '  "processes": {',
    ...hints.map((hint) => `    // ${hint}`),
    ...(source === null ? [example] : entries),
    '  },',
    '}',
    '',
  ].join('\n')
}
