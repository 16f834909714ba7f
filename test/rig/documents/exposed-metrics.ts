import { markdownTable } from './generated-section.ts'

/** A program and the text at its `/metrics`. */
export interface Exposition {
  readonly program: string
  readonly text: string
}

/** Returns the table of all metrics, sorted by name, with the programs that expose each, from their `# HELP` and `# TYPE` lines. */
export function metricsTable(expositions: readonly Exposition[]): string {
  const rows = new Map<string, { type: string; help: string; programs: string[] }>()
  for (const { program, text } of expositions) {
    const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]))
    for (const [, name = '', help = ''] of text.matchAll(/^# HELP (ponix_\S+) (.*)$/gm)) {
      const row = rows.get(name) ?? { type: types.get(name) ?? '', help, programs: [] }
      row.programs.push(program)
      rows.set(name, row)
    }
  }
  const body = [...rows]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, { type, help, programs }]) => [`\`${name}\``, type, programs.join(', '), help])
  return markdownTable([['metric', 'type', 'program', 'meaning'], ...body])
}
