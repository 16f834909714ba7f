import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { emptyFolder } from '../empty-folder.ts'
import { builtProgram, Program, type Outcome } from '../program.ts'

/** A folder with files, in which a test runs `ponix-codec`. */
export class CodecFolder {
  readonly path = emptyFolder()

  constructor(files: Readonly<Record<string, string>> = {}) {
    for (const [name, text] of Object.entries(files)) this.write(name, text)
  }

  write(name: string, text: string): void {
    const path = join(this.path, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }

  /** Runs the program to its end. */
  run(...args: readonly string[]): Promise<Outcome> {
    return this.runWith({}, ...args)
  }

  /** Runs the program to its end with variables. */
  runWith(variables: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Outcome> {
    const env = { PATH: process.env['PATH'], ...variables }
    return new Program(process.execPath, [builtProgram('codec'), ...args], { cwd: this.path, env }).outcome
  }
}
