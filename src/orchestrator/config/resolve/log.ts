import { realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { ProblemList } from '../source/problems.ts'
import type { ResolvedLog, ResolvedProcess } from '../resolved.ts'
import { parseByteSize } from '../schema/fields.ts'
import type { ProcessFile } from '../schema/process.ts'

export function resolveLog({ log }: ProcessFile, pathOf: (file: string) => string): ResolvedLog {
  const { file, max_size = '', max_files = 5, quiet } = log
  if (file === undefined) return { file: null, quiet }
  return { file: { path: pathOf(file), maxSize: parseByteSize(max_size) ?? 10_000_000, maxFiles: max_files }, quiet }
}

/** Adds problems for processes that write to the same file, or to a rotated file of another process. */
export function checkLogFiles(processes: readonly ResolvedProcess[], problems: ProblemList): void {
  const writers = new Map<string, ResolvedProcess>()
  const logging = processes.flatMap((definition) => {
    const { file } = definition.log
    return file === null ? [] : [{ definition, path: realPath(file.path) }]
  })
  const add = ({ configName }: ResolvedProcess, message: string) =>
    problems.add(['processes', configName, 'log', 'file'], message)
  for (const { definition, path } of logging) {
    const earlier = writers.get(path)
    if (earlier === undefined) writers.set(path, definition)
    else if (earlier.configName === definition.configName) {
      add(definition, 'all replicas would write to this file; use ${PONIX_REPLICA} in its name')
    } else add(definition, `process "${earlier.name}" already writes to this file; choose another one`)
  }
  for (const { definition, path } of logging) {
    const [, current = '', number] = /^(.*)\.([1-9]\d{0,3})$/s.exec(path) ?? []
    const other = writers.get(current)
    if (other === undefined || Number(number) > (other.log.file?.maxFiles ?? 0)) continue
    add(definition, `is the name of a rotated file of process "${other.name}"; choose another one`)
  }
}

/** Returns the path with symbolic links of the folder resolved. */
function realPath(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path))
  } catch {
    return path
  }
}
