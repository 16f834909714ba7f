import type { ProcessFile } from './schema.ts'

/** What becomes one process of the engine: a process of the file, or one of its instances. */
export interface Instance {
  readonly name: string
  /** Its name in the file. */
  readonly group: string
  /** From 1 on; null if the file asks for no number of instances. */
  readonly replica: number | null
  readonly file: ProcessFile
}

/** Every instance of a process of the file. One that asks for a number of them, even for one, gets numbers: so it can grow. */
export function instancesOf(group: string, file: ProcessFile): readonly Instance[] {
  if (file.replicas === undefined) return [{ name: group, group, replica: null, file }]
  return Array.from({ length: file.replicas }, (_, index) => {
    const replica = index + 1
    return { name: `${group}#${replica}`, group, replica, file }
  })
}
