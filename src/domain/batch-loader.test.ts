import { expect, it } from 'vitest'
import { BatchLoader } from './batch-loader.ts'

const never = new AbortController().signal

/** Creates a loader of the lengths of keys, of which the empty one has none; calls end when they are let go. */
function scene(refused = '') {
  const calls: (readonly string[])[] = []
  const open: (() => void)[] = []
  const loader = new BatchLoader<number>(async (keys, signal) => {
    calls.push(keys)
    await new Promise<void>((resolve) => open.push(resolve))
    signal.throwIfAborted()
    if (refused !== '' && keys.includes(refused)) throw new Error('refused')
    return new Map(keys.flatMap((key) => (key === '' ? [] : [[key, key.length]])))
  })
  /** Lets calls end until `done` has settled. */
  const settle = async <T>(done: Promise<T>): Promise<T> => {
    let isSettled = false
    void done.finally(() => (isSettled = true)).catch(() => {})
    await expect.poll(() => (open.splice(0).forEach((end) => end()), isSettled)).toBe(true)
    return await done
  }
  return { loader, calls, settle }
}

it('loads the keys of one turn together, and then those that were requested meanwhile', async () => {
  const { loader, calls, settle } = scene()
  const first = [loader.load('a', never), loader.load('bb', never), loader.load('', never)]
  await expect.poll(() => calls).toEqual([['a', 'bb', '']])
  const second = [loader.load('ccc', never), loader.load('a', never)]
  expect(await settle(Promise.all([...first, ...second]))).toEqual([1, 2, null, 3, 1])
  expect(calls).toEqual([
    ['a', 'bb', ''],
    ['ccc', 'a'],
  ])
})

it('loads at most 500 keys with one call', async () => {
  const { loader, calls, settle } = scene()
  const keys = Array.from({ length: 1200 }, (_, number) => String(number))
  expect(await settle(Promise.all(keys.map((key) => loader.load(key, never))))).toEqual(keys.map((key) => key.length))
  expect(calls.map((call) => call.length)).toEqual([500, 500, 200])
})

it('rejects only for the key that cannot be loaded', async () => {
  const { loader, settle } = scene('bad')
  const results = ['a', 'bb', 'bad', 'ccc'].map((key) => loader.load(key, never))
  expect(await settle(Promise.allSettled(results))).toMatchObject([
    { value: 1 },
    { value: 2 },
    { reason: new Error('refused') },
    { value: 3 },
  ])
})

it('rejects only for the caller whose signal is aborted', async () => {
  const { loader, settle } = scene()
  const aborted = AbortSignal.abort()
  const results = [loader.load('a', aborted), loader.load('bb', never)]
  expect(await settle(Promise.allSettled(results))).toMatchObject([{ status: 'rejected' }, { value: 2 }])
})
