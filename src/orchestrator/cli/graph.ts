import { renderDot, renderJson, renderMermaid, renderText } from './graph-rendering.ts'
import { type FileOptions, toLoadOptions } from './options.ts'
import type { GraphFormat } from './program.ts'
import { loadConfig } from '../config/load.ts'

const renderers = { text: renderText, mermaid: renderMermaid, dot: renderDot, json: renderJson }

/** `graph`: prints the dependency graph of what would run (O-8). */
export async function graph(typed: FileOptions, format: GraphFormat): Promise<number> {
  process.stdout.write(renderers[format](loadConfig(toLoadOptions(typed))))
  return 0
}
