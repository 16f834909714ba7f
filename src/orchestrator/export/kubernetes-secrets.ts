import type { ExportedProcess } from './graph.ts'

/** The Secret that holds what must not be written down. */
export function secretName({ id }: ExportedProcess): string {
  return `${id}-secrets`
}
