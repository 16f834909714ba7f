// Load it into a program with `node --import`: the process is killed with SIGKILL before its n-th asynchronous step, where n is CRASH_AT.
// Every await is such a step.
import { createHook } from 'node:async_hooks'

let left = Number(process.env.CRASH_AT)
createHook({
  before() {
    left -= 1
    if (left === 0) process.kill(process.pid, 'SIGKILL')
  },
}).enable()
