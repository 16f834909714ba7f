// Runs the tools of node_modules for the project's own commands.
import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of the project, absolute. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** Runs a tool in the root of the project. Resolves to the exit code (null after a signal) and, unless shown, the output. */
export function runTool(command, args, { show = false, env = {} } = {}) {
  const path = `${join(root, 'node_modules', '.bin')}${delimiter}${env.PATH ?? process.env.PATH}`
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env, PATH: path },
      stdio: ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (chunk) => (output += chunk))
    child.once('error', (error) => resolve({ code: null, output: error.message }))
    child.once('close', (code) => resolve({ code, output }))
  })
}
