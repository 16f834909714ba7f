import { localTime, timeOfDay } from '../system/local-time.ts'
import { shortNames } from './short-names.ts'

/** The name in the prefix of the orchestrator's own lines. */
export const OWN_NAME = 'orchestrator'
/** The share of a terminal's width that a name takes at most, with its brackets and the space after it. */
const WIDTH_SHARE = 4
const MIN_LABEL = 4

/** Foreground colours that are readable on light and dark backgrounds; red is reserved for errors. */
const COLOURS = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94] as const

const fieldNames = ['name', 'pid', 'time'] as const
type FieldName = (typeof fieldNames)[number]
type Part = { readonly text: string } | { readonly field: FieldName }
/** The usual widths of the fields other than the name. */
const FIELD_WIDTHS = { pid: 7, time: 12 } as const
/** The widths of `08:30:00.123` and `2026-01-31T08:30:00.123+01:00`, with the space after them. */
const STAMP_WIDTHS = { terminal: 13, file: 30 } as const

/** The parts of a prefix, without the space after it; empty: no prefix. */
export type PrefixFormat = readonly Part[]

const NAME_FORMAT: PrefixFormat = [{ text: '[' }, { field: 'name' }, { text: ']' }]

/** The formats with a name. */
export const prefixKinds = ['name', 'pid', 'time', 'none'] as const

/** Completes "expected …" in the message about a format that does not parse. */
export const prefixForm = 'name, pid, time, none, or a template with {name}, {pid} or {time}, such as "{time} {name}"'

/** Parses the name of a format, or a template; null if it is neither, or a field of the template is unknown. */
export function parsePrefixFormat(text: string): PrefixFormat | null {
  if (text === 'none') return []
  if (isField(text)) return [{ text: '[' }, { field: text }, { text: ']' }]
  const parts = text.split(/\{(\w*)\}/).map((part, index): Part | null => {
    if (index % 2 === 0) return { text: part }
    return isField(part) ? { field: part } : null
  })
  return parts.length === 1 ? null : parts.every((part) => part !== null) ? parts : null
}

function isField(text: string): text is FieldName {
  return fieldNames.some((field) => field === text)
}

export interface PrefixOptions {
  readonly format?: PrefixFormat
  /**
   * Whether the time follows the prefix: on a terminal the local time of day, as in `08:30:00.123`, elsewhere also the date and the
   * offset, as in `2026-01-31T08:30:00.123+01:00`.
   */
  readonly timestamps?: boolean
  /** The width of the terminal, which limits the length of names; null without a terminal: names have their full length. */
  readonly columns?: number | null
}

/** The process of a line; null: the orchestrator itself. */
export type Origin = { readonly name: string; readonly pid: number } | null

/** The prefix of a line that is written now. */
export type Prefix = () => string

/** Renders the prefixes of all lines with a common width. A process keeps its colour while others come and go. */
export class Prefixes {
  readonly #format: PrefixFormat
  readonly #ownFormat: PrefixFormat
  /** The form of the times after the prefixes; null: none. */
  readonly #stamp: keyof typeof STAMP_WIDTHS | null
  readonly #labelLimit: number
  readonly #colours = new Map<string, number>()
  #labels: ReadonlyMap<string, string> = new Map()
  #width = 0
  /** Changes with the names. */
  #version = 0

  constructor({ format = NAME_FORMAT, timestamps = false, columns = null }: PrefixOptions = {}) {
    this.#format = format
    this.#stamp = timestamps ? (columns === null ? 'file' : 'terminal') : null
    // The orchestrator's own lines are always recognizable.
    this.#ownFormat = format.some((part) => 'field' in part && part.field === 'name') ? format : NAME_FORMAT
    const space = columns === null ? Infinity : Math.floor(columns / WIDTH_SHARE)
    this.#labelLimit = Math.max(MIN_LABEL, space - '[] '.length)
    this.setProcesses([])
  }

  /** The width of the prefixes, with the space and the time after them. */
  get columns(): number {
    const stamp = this.#stamp === null ? 0 : STAMP_WIDTHS[this.#stamp]
    return this.#format.length === 0 ? stamp : this.#width + 1 + stamp
  }

  /** Sets the names in the order of the file; those that are left out do not widen the prefixes of the others. */
  setProcesses(processes: readonly { readonly name: string; readonly leftOut: string | null }[]): void {
    for (const { name } of processes) if (!this.#colours.has(name)) this.#colours.set(name, this.#colours.size)
    const names = [OWN_NAME, ...processes.map(({ name }) => name).filter((name) => name !== OWN_NAME)]
    this.#labels = shortNames(names, this.#labelLimit)
    const shown = processes.flatMap(({ name, leftOut }) => (leftOut === null ? [this.#labelOf(name)] : []))
    const widths = shown.map((label) => widthOf(this.#format, label))
    const own = this.#format.length === 0 ? 0 : widthOf(this.#ownFormat, this.#labelOf(OWN_NAME))
    this.#width = Math.max(own, ...widths)
    this.#version += 1
  }

  /** Returns the prefix of a process's lines; it is rendered again only when it changes. */
  of(origin: Origin, isColoured: boolean): Prefix {
    const hasTime = this.#stamp !== null || this.#format.some((part) => 'field' in part && part.field === 'time')
    if (hasTime) return () => this.render(origin, isColoured, Date.now())
    let version: number | null = null
    let prefix = ''
    return () => {
      if (version !== this.#version) prefix = this.render(origin, isColoured, 0)
      version = this.#version
      return prefix
    }
  }

  /** Renders the prefix of a line with a time in milliseconds since 1970. The colour of the orchestrator's own prefix is bold. */
  render(origin: Origin, isColoured: boolean, time: number): string {
    const stamp = this.#stampOf(time)
    const format = origin === null ? this.#ownFormat : this.#format
    if (format.length === 0) return stamp
    const { name, pid } = origin ?? { name: OWN_NAME, pid: process.pid }
    const values = { name: this.#labelOf(name), pid: String(pid), time: timeOfDay(time) }
    const label = format.map((part) => ('text' in part ? part.text : values[part.field])).join('')
    const padding = ' '.repeat(Math.max(1, this.#width + 1 - label.length))
    return (isColoured ? this.#paint(label, padding, origin) : label + padding) + stamp
  }

  #stampOf(time: number): string {
    if (this.#stamp === null) return ''
    return `${this.#stamp === 'terminal' ? timeOfDay(time) : localTime(time)} `
  }

  #paint(label: string, padding: string, origin: Origin): string {
    if (origin === null) return `\u001b[1m${label}${padding}\u001b[22m`
    const index = this.#colours.get(origin.name) ?? 0
    return `\u001b[${COLOURS[index % COLOURS.length] ?? 39}m${label}\u001b[39m${padding}`
  }

  #labelOf(name: string): string {
    return this.#labels.get(name) ?? name
  }
}

/** Returns the usual width of a format with this label. */
function widthOf(format: PrefixFormat, label: string): number {
  const widths = { name: label.length, ...FIELD_WIDTHS }
  return format.reduce((sum, part) => sum + ('text' in part ? part.text.length : widths[part.field]), 0)
}
