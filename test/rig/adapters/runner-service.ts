import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Counter } from 'prom-client'
import { z } from 'zod'
import { StartupError } from '../../../src/domain/errors.ts'
import { commonEnvironment, type CommonEnvironment } from '../../../src/runner/environment.ts'
import type { AppProcess, Closer } from '../../../src/runner/lifecycle.ts'
import { createLogger } from '../../../src/runner/logger.ts'
import { runProgram } from '../../../src/runner/program.ts'
import { runService } from '../../../src/runner/runner.ts'
import { connectWithBackoff } from '../../../src/runner/startup.ts'

/** A service for the tests of the runner. Its argument is a {@link ServiceScript}; each line on its stdin is a command. */
export interface ServiceScript {
  /** `wait` ends on the signal; `hang` never ends; `obey` ends or fails on command; `stray` throws an uncaught error on command. */
  readonly processes: Readonly<Record<string, 'wait' | 'hang' | 'obey' | 'stray'>>
  readonly closers?: Readonly<Record<string, 'close' | 'hang' | 'throw'>>
  readonly closerTimeoutMs?: number
  /** Whether the service is ready from the start, or on the command `ready`. */
  readonly readiness?: 'immediately' | 'on command'
  readonly sharesPort?: boolean
  /** A failure before the service runs: a server that does not answer, a rejection, or an unexpected error. */
  readonly start?: 'no server' | 'refused' | 'surprise'
}

/** `end`, `fail` and `ready`. */
const commands = createInterface({ input: process.stdin })

async function command(name: string): Promise<void> {
  for (;;) if ((await once(commands, 'line'))[0] === name) return
}

const counter = new Counter({ name: 'test_units_total', help: 'Units of work.' })

await runProgram({
  name: 'test',
  description: 'A service for tests, scripted by its argument.',
  environment: z.object(commonEnvironment),
  addCommands: (program, environment) =>
    program.argument('<script>').action((script: string) => run(JSON.parse(script), environment())),
})

async function run(script: ServiceScript, environment: CommonEnvironment): Promise<void> {
  const logger = createLogger('test')
  await failAtStart(script.start, environment.PONIX_STARTUP_TIMEOUT_MS)

  const untilAborted = async (signal: AbortSignal): Promise<void> => {
    if (!signal.aborted) await once(signal, 'abort')
  }
  const kinds: Record<ServiceScript['processes'][string], AppProcess> = {
    wait: untilAborted,
    hang: () => new Promise(() => {}),
    obey: (signal) =>
      Promise.race([
        untilAborted(signal),
        command('end'),
        command('fail').then(() => Promise.reject(new Error('told to fail'))),
      ]),
    stray: async (signal) => {
      void command('fail').then(() => Promise.reject(new Error('stray')))
      await untilAborted(signal)
    },
  }
  const closers: Record<'close' | 'hang' | 'throw', (name: string) => Closer> = {
    close: (name) => async () => logger.info(`closed ${name}`),
    hang: () => () => new Promise(() => {}),
    throw: (name) => () => Promise.reject(new Error(`cannot close ${name}`)),
  }
  let ready = script.readiness !== 'on command'
  void command('ready').then(() => (ready = true))
  counter.inc()
  await runService({
    service: 'test',
    logger,
    processes: Object.fromEntries(Object.entries(script.processes).map(([name, kind]) => [name, kinds[kind]])),
    sharesPort: script.sharesPort === true,
    closers: Object.fromEntries(
      Object.entries(script.closers ?? {}).map(([name, kind]) => [name, closers[kind](name)]),
    ),
    ...(script.closerTimeoutMs === undefined ? {} : { closerTimeoutMs: script.closerTimeoutMs }),
    readiness: { database: async () => (ready ? undefined : Promise.reject(new Error('database is starting'))) },
    routes: {
      '/units': async () => ({ units: 1n, names: ['a'] }),
      '/broken': () => Promise.reject(new Error('broken')),
    },
  })
}

async function failAtStart(start: ServiceScript['start'], timeoutMs: number): Promise<void> {
  if (start === 'surprise') throw new TypeError('x is not a function')
  if (start === 'refused') throw new StartupError('NATS at localhost:4222 rejected the credentials')
  if (start !== 'no server') return
  const target = { server: 'NATS', address: 'localhost:1', timeoutMs, logger: createLogger('test') }
  await connectWithBackoff(target, () => Promise.reject(new Error('ECONNREFUSED')))
}
