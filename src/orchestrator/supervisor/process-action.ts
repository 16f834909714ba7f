import type { ManagedProcess } from './managed-process.ts'
import type { Action } from './rules/snapshot.ts'

type ProcessAction = Extract<Action<ManagedProcess>, { readonly managed: ManagedProcess }>

/** Executes an action that concerns one process. */
export function carryOut(action: ProcessAction): void {
  const { managed } = action
  switch (action.type) {
    case 'start':
    case 'reset':
      return managed[action.type]()
    case 'reap':
      return void managed.groups.reap()
    case 'stop':
      return managed.stop(action.outcome)
    case 'skip':
      return managed.skip(action.because)
    case 'set_goal':
      managed.goal = action.goal
      return undefined
    case 'set_request':
      managed.request = action.request
      return undefined
  }
}
