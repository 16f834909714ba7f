import type { LoadedConfig } from '../../config/load.ts'
import { redact } from '../../config/redact.ts'
import type { ProblemList } from '../../config/source/problems.ts'
import { describeProgramProblem } from '../../supervisor/child/child.ts'
import { describeCwdProblem } from '../../supervisor/child/spawn-error.ts'

/**
 * Finds the processes that could not be started now, because their folder or program is missing. These are no errors of the file:
 * a process that runs before can create both.
 */
export function findMissing(config: LoadedConfig): ProblemList {
  const found = config.newProblems()
  for (const definition of config.processes) {
    const path = ['processes', definition.configName]
    const ofFolder = describeCwdProblem(definition)
    if (ofFolder !== null) found.add([...path, 'cwd'], redact(ofFolder.replace(/^its cwd /, '')))
    // A relative path of a program cannot be found without the folder.
    const ofProgram = ofFolder === null || !definition.command.includes('/') ? describeProgramProblem(definition) : null
    if (ofProgram !== null) found.add([...path, 'command'], redact(ofProgram))
  }
  return found
}
