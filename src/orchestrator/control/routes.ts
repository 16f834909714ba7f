import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import type { z } from 'zod'
import { RequestError } from '../config/errors.ts'
import { MAX_REPLICAS } from '../config/source/replicas.ts'
import { logParameterNames, logParameters, parseLogQuery } from './logs/log-query.ts'
import { Timer } from '../supervisor/timers.ts'
import { ATTACH_PROTOCOL } from './attach.ts'
import { renderMetrics } from './metrics.ts'
import { flagIn } from './query.ts'
import { namesRequest, scaleRequest } from './requests.ts'
import { followStatus } from './status/status-stream.ts'
import type { ControlTarget } from './target.ts'
import { waitGoals } from './wait.ts'

const MAX_BODY_BYTES = 64 * 1024

interface Exchange {
  readonly target: ControlTarget
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: URLSearchParams
}

interface Route {
  readonly method: 'GET' | 'POST'
  /** Also answers HEAD, which load balancers and monitors send. */
  readonly answersHead?: true
  readonly path: string
  /** The names of the parameters in the query; default: none. */
  readonly query?: readonly string[]
  /** Describes the parameters of the query, or the body. */
  readonly parameters?: string
  readonly action: string
  readonly answer: string
  readonly handle: (exchange: Exchange) => Promise<void> | void
}

const body = 'body: {"processes": ["NAME", …]}; a name can be a pattern of * and ?, or all'

/** The whole control API: the dispatch, the page at `/` and the table in docs/control.md are made from this. */
export const routes: readonly Route[] = [
  {
    method: 'GET',
    path: '/',
    action: 'lists the requests',
    answer: 'plain text',
    handle: ({ target, response }) => sendText(response, renderHelp(target.configPath)),
  },
  {
    method: 'GET',
    path: '/status',
    action: 'shows state, pid, uptime, restarts, CPU and memory of every process',
    answer: 'the JSON of "status --json"; with follow a line for each change',
    query: ['process', 'follow', 'interval_ms'],
    parameters:
      'process=NAME (repeatable; default: all), follow=1 (stream changes), interval_ms=MILLISECONDS (with follow: at least one line in this time)',
    handle: ({ target, response, query }) => {
      const names = query.getAll('process')
      if (flagIn(query, 'follow', false)) return followStatus(target, names, intervalIn(query), response)
      sendJson(response, 200, names.length === 0 ? target.status() : target.status(target.resolveNames(names)))
    },
  },
  {
    method: 'GET',
    path: '/logs',
    query: logParameterNames,
    parameters: logParameters,
    action: 'shows the last output of the processes, and messages about them',
    answer: 'one JSON object per line',
    handle: async ({ target, response, query }) => {
      const wanted = parseLogQuery(query, Date.now())
      // Loaded late, because a run needs it, and the worker threads of a search, only for this request.
      const { sendLogs } = await import('./logs/log-stream.ts')
      sendLogs(target, wanted, response)
    },
  },
  {
    method: 'GET',
    path: '/attach',
    query: ['process', 'columns', 'rows'],
    parameters: 'process=NAME, columns=N, rows=N (default: 80, 24); header Upgrade: ponix-terminal',
    action: 'attaches to the terminal of a process with "tty"; over TCP only with a token',
    answer: '101, then its raw output; takes lines of {"input": BASE64} or {"columns": N, "rows": N}',
    handle: () => {
      throw new RequestError(426, `expected the header Upgrade: ${ATTACH_PROTOCOL}`)
    },
  },
  {
    method: 'GET',
    path: '/wait',
    query: ['process', 'for', 'timeout_ms'],
    parameters:
      'process=NAME (repeatable; default: all), for=ready or completed (default: ready), timeout_ms=MILLISECONDS (default: none)',
    action: 'waits until the processes are ready or completed',
    answer: 'the outcome (met, never, or pending after the time) and that of each process, with the reason',
    handle: async ({ target, response, query }) => {
      const goal = waitGoals.find((known) => known === (query.get('for') ?? 'ready'))
      if (goal === undefined) throw new RequestError(400, `for: expected ${waitGoals.join(' or ')}`)
      const limitMs = timeLimit(query.get('timeout_ms'))
      const over = new AbortController()
      const timer = new Timer()
      if (limitMs !== null) timer.set(limitMs, () => over.abort())
      response.once('close', () => {
        timer.clear()
        over.abort()
      })
      const request = { goal, hasLimit: limitMs !== null }
      sendJson(response, 200, await target.wait(query.getAll('process'), request, over.signal))
    },
  },
  {
    method: 'GET',
    path: '/healthz',
    answersHead: true,
    action: 'shows that the orchestrator runs, whatever the state of its processes',
    answer: '200 and {"status": "alive"}',
    handle: ({ response }) => sendJson(response, 200, { status: 'alive' }),
  },
  {
    method: 'GET',
    path: '/readyz',
    answersHead: true,
    action: 'checks whether all processes that are not left out are ready or completed',
    answer:
      '200, or 503 if one is not or everything stops: {"ready": false, "stopping": false, "not_ready": [{"name", "state", "detail"}, …]}',
    handle: ({ target, response }) => {
      const readiness = target.readiness()
      sendJson(response, readiness.ready ? 200 : 503, readiness)
    },
  },
  {
    method: 'GET',
    path: '/metrics',
    action: 'shows the metrics of the processes',
    answer: "Prometheus' text format",
    handle: ({ target, response }) => sendText(response, renderMetrics(target.status()), '; version=0.0.4'),
  },
  {
    method: 'POST',
    path: '/start',
    parameters: `${body}, with "with_dependencies": true also what they depend on`,
    action: 'starts processes that were stopped, have ended or are left out',
    answer: 'the status, and the failed processes, once each is up, has ended or has failed',
    handle: act('start'),
  },
  {
    method: 'POST',
    path: '/stop',
    parameters: body,
    action: 'stops processes, dependents first; they stay stopped until they are started',
    answer: 'the status, once all have stopped',
    handle: act('stop'),
  },
  {
    method: 'POST',
    path: '/restart',
    parameters: body,
    action: 'stops processes and starts them again',
    answer: 'the status, and the failed processes, once each is up, has ended or has failed',
    handle: act('restart'),
  },
  {
    method: 'POST',
    path: '/reload',
    action: 'reads the configuration again and applies the difference',
    answer:
      'the names of added, removed, changed and unchanged processes, and the failed ones, once all are up, have ended or have failed',
    handle: async ({ target, response }) => sendJson(response, 200, await target.configuration.reload()),
  },
  {
    method: 'POST',
    path: '/scale',
    parameters: 'body: {"replicas": {"NAME": N, …}}, with the names of processes that have "replicas"',
    action: 'changes the numbers of replicas until the next reload, and nothing else of the configuration',
    answer: 'as that of /reload',
    handle: async ({ target, request, response }) => {
      const form = `a body like {"replicas": {"name": 3}} with numbers from 1 to ${MAX_REPLICAS}`
      const { replicas } = await readBody(request, scaleRequest, form)
      sendJson(response, 200, await target.configuration.scale(new Map(Object.entries(replicas))))
    },
  },
  {
    method: 'POST',
    path: '/down',
    action: 'stops all processes in order, then the orchestrator',
    answer: 'the status, immediately',
    handle: ({ target, response }) => {
      sendJson(response, 200, target.status())
      // `close` is emitted even if the client has already disconnected.
      response.once('close', () => target.down())
    },
  },
]

function renderHelp(configPath: string): string {
  const entries = routes.map(({ method, path, parameters, action, answer }) => {
    const details = [...(parameters === undefined ? [] : [parameters]), `answer: ${answer}`].map(
      (line) => `\n      ${line}`,
    )
    return `${method.padEnd(5)}${path.padEnd(10)}${action}${details.join('')}\n`
  })
  return `ponix-orchestrator, running ${configPath}\n\n${entries.join('')}`
}

export function sendJson(response: ServerResponse, status: number, answer: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(answer)}\n`)
}

function sendText(response: ServerResponse, answer: string, version = ''): void {
  response.writeHead(200, { 'content-type': `text/plain${version}; charset=utf-8` })
  response.end(answer)
}

function act(action: 'start' | 'stop' | 'restart'): Route['handle'] {
  return async ({ target, request, response }) => {
    const { processes, with_dependencies } = await readBody(
      request,
      namesRequest,
      'a body like {"processes": ["name"]}',
    )
    sendJson(response, 200, await target.act(action, processes, with_dependencies))
  }
}

/** Returns the time limit of a request in milliseconds; null without one. */
function timeLimit(typed: string | null): number | null {
  if (typed === null) return null
  if (!/^\d{1,12}$/.test(typed)) throw new RequestError(400, 'timeout_ms: expected a whole number of milliseconds')
  return Number(typed)
}

/** Returns the interval of a request in milliseconds; null without one. */
function intervalIn(query: URLSearchParams): number | null {
  const typed = query.get('interval_ms')
  if (typed === null) return null
  if (!/^[1-9]\d{2,8}$/.test(typed)) throw new RequestError(400, 'interval_ms: expected a whole number of 100 or more')
  return Number(typed)
}

/** Reads a JSON body; `form` describes a valid one. */
async function readBody<T>(request: IncomingMessage, schema: z.ZodType<T>, form: string): Promise<T> {
  const expected = `expected ${form}`
  if (Number(request.headers['content-length'] ?? MAX_BODY_BYTES + 1) > MAX_BODY_BYTES) {
    throw new RequestError(413, `${expected} of at most ${MAX_BODY_BYTES} bytes, with a content-length header`)
  }
  try {
    return schema.parse(JSON.parse(await text(request)))
  } catch {
    throw new RequestError(400, expected)
  }
}
