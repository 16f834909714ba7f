import type { ReloadAnswer } from '../control/status.ts'

/** What a reload could not do, in words for people. */
export function describeNeededRestart({ needs_restart }: ReloadAnswer): string {
  return `"${needs_restart.join('", "')}" has changed too: that counts once the orchestrator is started again`
}
