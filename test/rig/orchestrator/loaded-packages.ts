import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Records the modules that a program loads: Node lists them in a report of its coverage when it exits. */
export class LoadedPackages implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'ponix-coverage-'))

  /** The variables for the environment of the program. */
  get environment(): Readonly<Record<string, string>> {
    return { NODE_V8_COVERAGE: this.#folder }
  }

  /** Returns the names of the bundled packages that a program with this pid has loaded, sorted. Call it after the exit. */
  of(pid: number): readonly string[] {
    const report = readdirSync(this.#folder).find((name) => name.startsWith(`coverage-${pid}-`))
    if (report === undefined) throw new Error(`no report of process ${pid}; it was killed, or is no program of Node`)
    const { result }: { result: readonly { url: string }[] } = JSON.parse(
      readFileSync(join(this.#folder, report), 'utf8'),
    )
    const chunks = result.filter(({ url }) => url.startsWith('file:')).map(({ url }) => fileURLToPath(url))
    return [...new Set(chunks.flatMap(packagesIn))].toSorted()
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true })
  }
}

/** Returns the packages in a file of the build, by its source map. */
function packagesIn(chunk: string): readonly string[] {
  if (!existsSync(`${chunk}.map`)) return []
  const { sources }: { sources: readonly string[] } = JSON.parse(readFileSync(`${chunk}.map`, 'utf8'))
  return sources.flatMap((source) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(source)?.[1] ?? [])
}
