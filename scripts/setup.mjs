// Brings a clone up to date before one of its programs runs: dependencies if package-lock.json is not what is installed, a
// build if the sources are not what was built. Nothing is imported but Node's own modules: it runs in a fresh clone.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fingerprint } from './fingerprint.mjs'
import { lock } from './lock.mjs'

const projectRoot = fileURLToPath(new URL('..', import.meta.url))
const PROGRESS_MS = 5000

/** Ends the process with one line if it cannot be done. */
export async function setUp(root = projectRoot) {
  if (isInstalled(root) && isBuilt(root)) return
  try {
    await underLock(root, async () => {
      if (!isInstalled(root)) await install(root)
      if (!isBuilt(root)) await build(root)
    })
  } catch (error) {
    console.error(`setup: ${explain(root, error)}`)
    process.exit(1)
  }
}

/** What npm wrote down after its last success agrees with the lock file, and the folders are there. */
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

/** The build carries the fingerprint of its sources and comes into place as a whole. */
function isBuilt(root) {
  try {
    return readFileSync(join(root, 'dist', 'sources'), 'utf8') === fingerprint(root)
  } catch {
    return false
  }
}

async function underLock(root, work) {
  const onHeld = (pid) => {
    say(`waiting for the set-up that process ${pid} is doing`)
    return true
  }
  const release = await lock(join(root, '.ponix', 'setup'), { onHeld })
  try {
    await work()
  } finally {
    await release()
  }
}

async function install(root) {
  say('installing dependencies (npm ci)')
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error']
  const { code, output, seconds } = await run('npm', args, root, 'still installing dependencies')
  if (code !== 0) throw new StepError('npm ci failed', output)
  if (!isInstalled(root))
    throw new StepError('npm ci succeeded, but what is installed is not what package-lock.json says', output)
  say(`installed dependencies in ${seconds} s`)
}

async function build(root) {
  say('building')
  const { code, output, seconds } = await run(
    process.execPath,
    [join(root, 'scripts', 'build.mjs')],
    root,
    'still building',
  )
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
  if (error instanceof StepError) return `${error.output.trimEnd()}\nsetup: ${error.message}, for the reason above`
  if (error.code === 'EACCES' || error.code === 'EROFS' || error.code === 'EPERM') {
    return `cannot write to ${error.path ?? root}; the clone has to belong to whoever runs it`
  }
  if (error.code === 'ENOENT' && error.syscall?.startsWith('spawn npm')) {
    return 'npm is not on PATH; it comes with Node: https://nodejs.org'
  }
  return error.message
}

/** Runs a step whose output matters only if it fails; a step that is ended by a signal ends this process by the same. */
function run(command, args, cwd, progress) {
  const begin = performance.now()
  const elapsed = () => ((performance.now() - begin) / 1000).toFixed(1)
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: outerEnvironment() })
    const timer = setInterval(() => say(`${progress}: ${elapsed()} s`), PROGRESS_MS)
    const stop = (signal) => child.kill(signal)
    process.on('SIGINT', stop).on('SIGTERM', stop)
    const watch = stopWithUs(child.pid)
    const end = () => {
      watch.kill('SIGKILL')
      clearInterval(timer)
      process.off('SIGINT', stop).off('SIGTERM', stop)
    }
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk) => {
        output = (output + chunk).slice(-8192)
      })
    }
    child.once('error', (error) => {
      end()
      reject(error)
    })
    child.once('close', (code, signal) => {
      end()
      if (signal !== null) process.kill(process.pid, signal)
      resolve({ code, output, seconds: elapsed() })
    })
  })
}

/** If this process is killed, the step must not go on beside that of the next set-up: a shell waits for the end of a pipe. */
function stopWithUs(pid) {
  const watch = spawn('/bin/sh', ['-c', 'read -r _; kill "$1"', 'sh', String(pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watch.on('error', () => {})
  return watch
}

/** An `npm start` around this process describes itself in variables that npm would take for settings. */
function outerEnvironment() {
  const inner = /^npm_(package|lifecycle|command|config_(local_prefix|omit|include|production|ignore_scripts))/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !inner.test(name) && name !== 'NODE_ENV'))
}

function say(text) {
  console.error(`[setup] ${text}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setUp()
