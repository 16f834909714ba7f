// Brings a clone up to date before one of its programs runs: installs the dependencies if they differ from package-lock.json
// and builds if the sources have changed. It runs in a fresh clone, so it imports only modules of Node.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fingerprint } from './fingerprint.mjs'
import { lock } from './lock.mjs'

const projectRoot = fileURLToPath(new URL('..', import.meta.url))
const PROGRESS_MS = 5000

/** Sets up the clone. On failure, prints the reason and ends the process. */
export async function setUp(root = projectRoot) {
  if (isInstalled(root) && isBuilt(root)) return
  try {
    const release = await lock(join(root, '.ponix', 'setup'), { onHeld })
    try {
      if (!isInstalled(root)) await install(root)
      if (!isBuilt(root)) await build(root)
    } finally {
      await release()
    }
  } catch (error) {
    console.error(`setup: ${explain(root, error)}`)
    process.exit(1)
  }
}

/** Compares the lock file with npm's record of its last installation, and checks that the folders exist. */
function isInstalled(root) {
  const wanted = readPackages(join(root, 'package-lock.json'))
  const installed = readPackages(join(root, 'node_modules', '.package-lock.json'))
  if (wanted === undefined || installed === undefined) return false
  return Object.entries(wanted).every(([path, { version, integrity, optional, link }]) => {
    const found = installed[path]
    if (path === '' || link) return true
    if (found === undefined) return optional === true
    return found.version === version && found.integrity === integrity && existsSync(join(root, path, 'package.json'))
  })
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages
  } catch {
    return undefined
  }
}

/** Compares the fingerprint in the build, which is always complete, with the sources. */
function isBuilt(root) {
  try {
    return readFileSync(join(root, 'dist', 'sources'), 'utf8') === fingerprint(root)
  } catch {
    return false
  }
}

function onHeld(pid) {
  say(`waiting for the set-up of process ${pid}`)
  return true
}

async function install(root) {
  say('installing dependencies (npm ci)')
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error']
  const { code, output, seconds } = await run('npm', args, root, 'still installing dependencies')
  if (code !== 0) throw new StepError('npm ci failed', output)
  if (!isInstalled(root))
    throw new StepError('npm ci succeeded, but the installed packages differ from package-lock.json', output)
  say(`installed dependencies in ${seconds} s`)
}

async function build(root) {
  say('building')
  const args = [join(root, 'scripts', 'build.mjs')]
  const { code, output, seconds } = await run(process.execPath, args, root, 'still building')
  if (code !== 0) throw new StepError('the build failed', output)
  say(`built in ${seconds} s`)
}

class StepError extends Error {
  constructor(message, output) {
    super(message)
    this.output = output
  }
}

function explain(root, error) {
  if (error instanceof StepError) return `${error.output.trimEnd()}\nsetup: ${error.message}; the reason is above`
  if (error.code === 'EACCES' || error.code === 'EROFS' || error.code === 'EPERM') {
    return `cannot write to ${error.path ?? root}; run as the owner of the clone`
  }
  if (error.code === 'ENOENT' && error.syscall?.startsWith('spawn npm')) {
    return 'npm is not on PATH; install Node, which includes it: https://nodejs.org'
  }
  return error.message
}

/** Runs a step and collects its output in case of a failure. A signal that ends the step also ends this process. */
async function run(command, args, cwd, progress) {
  const begin = performance.now()
  const elapsed = () => ((performance.now() - begin) / 1000).toFixed(1)
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: outerEnvironment() })
  const timer = setInterval(() => say(`${progress}: ${elapsed()} s`), PROGRESS_MS)
  const stop = (signal) => child.kill(signal)
  process.on('SIGINT', stop).on('SIGTERM', stop)
  const watch = stopWithParent(child.pid)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => {
      output = (output + chunk).slice(-8192)
    })
  }
  const [code, signal] = await once(child, 'close').finally(() => {
    watch.kill('SIGKILL')
    clearInterval(timer)
    process.off('SIGINT', stop).off('SIGTERM', stop)
  })
  if (signal !== null) process.kill(process.pid, signal)
  return { code, output, seconds: elapsed() }
}

/**
 * Stops the step when this process is killed, so that it does not run concurrently with the next set-up: a helper shell detects
 * that its pipe is closed.
 */
function stopWithParent(pid) {
  const watch = spawn('/bin/sh', ['-c', 'read -r _; kill "$1"', 'sh', String(pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watch.on('error', () => {})
  return watch
}

/** Returns the environment without the variables of an outer `npm start`, which the inner npm would read as settings. */
function outerEnvironment() {
  const inner = /^npm_(package|lifecycle|command|config_(local_prefix|omit|include|production|ignore_scripts))/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !inner.test(name) && name !== 'NODE_ENV'))
}

export function say(text) {
  console.error(`[setup] ${text}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setUp()
