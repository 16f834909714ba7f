// Loaded into a program with `node --import`: it dies by SIGKILL before its N-th asynchronous step, which is every point at
// which it waits for something. N is in CRASH_AT.
import { createHook } from 'node:async_hooks'

let left = Number(process.env.CRASH_AT)
createHook({
  before() {
    left -= 1
    if (left === 0) process.kill(process.pid, 'SIGKILL')
  },
}).enable()
