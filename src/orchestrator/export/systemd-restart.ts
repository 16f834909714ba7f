import { constants } from 'node:os'
import type { ResolvedProcess, ResolvedRestart } from '../config/resolved.ts'
import { timeSpan } from './exported-graph.ts'

/** The first version with RestartSteps=. */
const GROWING_WAIT_SINCE = 254

/** Renders the limit of restarts, for [Unit]. */
export function startLimit({
  policy,
  maxAttempts,
  maxBackoffMs,
  resetAfterMs,
  windowMs,
}: ResolvedRestart): readonly string[] {
  if (policy === 'never' || !Number.isFinite(maxAttempts)) return ['StartLimitIntervalSec=0']
  // For consecutive restarts: longer than the sum of their waits and uptimes.
  const interval = windowMs ?? (maxAttempts + 1) * (maxBackoffMs + resetAfterMs)
  return [`StartLimitIntervalSec=${timeSpan(interval)}`, `StartLimitBurst=${maxAttempts + 1}`]
}

const policies = { always: 'always', on_failure: 'on-failure', never: 'no' } as const

/** Renders the restart policy, for [Service]. */
export function restartLines(restart: ResolvedRestart, systemdVersion: number): readonly string[] {
  const { policy, backoffMs, maxBackoffMs } = restart
  if (policy === 'never') return ['Restart=no']
  const first = Math.min(backoffMs, maxBackoffMs)
  const lines = [`Restart=${policies[policy]}`, `RestartSec=${timeSpan(first)}`]
  const steps = first === 0 ? 0 : Math.ceil(Math.log2(maxBackoffMs / first))
  if (steps === 0) return lines
  const growing = [`RestartSteps=${steps}`, `RestartMaxDelaySec=${timeSpan(maxBackoffMs)}`]
  const comment = `# With systemd ${GROWING_WAIT_SINCE} or later, for a wait that doubles:`
  return [
    ...lines,
    ...(systemdVersion < GROWING_WAIT_SINCE ? [comment, ...growing.map((line) => `# ${line}`)] : growing),
  ]
}

/** Renders the exit codes that mean success besides 0. A code of a shell for a signal is that signal too. */
export function successLines({ successExitCodes }: ResolvedProcess): readonly string[] {
  const signals = new Map(Object.entries(constants.signals).map(([name, number]) => [128 + number, name]))
  const words = successExitCodes.filter((code) => code !== 0).flatMap((code) => [code, signals.get(code) ?? []].flat())
  return words.length === 0 ? [] : [`SuccessExitStatus=${words.join(' ')}`]
}
