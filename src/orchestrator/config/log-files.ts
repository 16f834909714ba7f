import { realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { ProblemList } from './problems.ts'
import type { ResolvedProcess } from './resolved.ts'

/** No two processes write to one file, and none to what another one's file is renamed to. */
export function checkLogFiles(processes: readonly ResolvedProcess[], problems: ProblemList): void {
  const writers = new Map<string, ResolvedProcess>()
  const logging = processes.flatMap((process) =>
    process.log.file === null ? [] : [{ process, ...process.log.file, path: realPath(process.log.file.path) }],
  )
  for (const { process, path } of logging) {
    const earlier = writers.get(path)
    if (earlier === undefined) writers.set(path, process)
    else problems.add(['processes', process.group, 'log', 'file'], sameFile(process, earlier))
  }
  for (const { process, path } of logging) {
    const [, current = '', old] = /^(.*)\.([1-9]\d{0,3})$/s.exec(path) ?? []
    const other = writers.get(current)
    if (other === undefined || Number(old) > (other.log.file?.maxFiles ?? 0)) continue
    const message = `is what an old file of process "${other.name}" is called; give each its own name`
    problems.add(['processes', process.group, 'log', 'file'], message)
  }
}

function sameFile({ group }: ResolvedProcess, earlier: ResolvedProcess): string {
  if (earlier.group !== group) return `process "${earlier.name}" writes to this file already; give each its own`
  return 'all instances would write to this file; give each its own, with ${PONIX_REPLICA} in the name'
}

/** The same file by whatever path its folder is named. */
function realPath(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path))
  } catch {
    return path
  }
}
