import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { timeoutSignal } from './timeout-signal.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

it('a signal that depends on a timeout aborts, also after a garbage collection', async () => {
  const never = new AbortController().signal
  const aborted = Array.from(
    { length: 100 },
    () =>
      new Promise<unknown>((resolve) => {
        const signal = AbortSignal.any([never, timeoutSignal(100)])
        signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
      }),
  )
  await new Promise((resolve) => setImmediate(resolve))
  collectGarbage()
  for (const reason of await Promise.all(aborted)) expect(reason).toMatchObject({ name: 'TimeoutError' })
})
