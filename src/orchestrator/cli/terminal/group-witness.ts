import { type ChildProcess, spawn } from 'node:child_process'

/**
 * Distinguishes a signal to the whole process group, such as Ctrl-C, from a signal to this process only. A `cat` in the same
 * process group is a witness: a signal to the group ends it. The kernel signals all members of a group before any of them
 * can react, and a process with a fatal signal never answers, so the result does not depend on time.
 */
export class GroupWitness {
  #witness: ChildProcess = startWitness()

  /** Resolves with whether the process group has received `signal` since the last call that resolved with true. */
  async hasSeen(signal: NodeJS.Signals): Promise<boolean> {
    // Started before the answer, so that a signal that follows soon finds it.
    const successor = startWitness()
    const end = await answerOf(this.#witness)
    if (end === null) {
      successor.stdin?.end()
      return false
    }
    this.#witness = successor
    // Without a witness, the terminal is the most probable sender.
    return end === signal || end === 'no witness'
  }

  dispose(): void {
    this.#witness.stdin?.end()
  }
}

function startWitness(): ChildProcess {
  const witness = spawn('cat', [], { stdio: ['pipe', 'pipe', 'ignore'] })
  witness.on('error', () => undefined)
  // EPIPE after its end.
  witness.stdin?.on('error', () => undefined)
  witness.unref()
  return witness
}

/** Resolves with null if the witness answers, otherwise with the signal that ended it. */
function answerOf(witness: ChildProcess): Promise<NodeJS.Signals | 'no witness' | null> {
  return new Promise((resolve) => {
    const ended = () => resolve(witness.signalCode ?? 'no witness')
    if (witness.pid === undefined || witness.signalCode !== null || witness.exitCode !== null) return ended()
    witness.once('exit', ended)
    witness.stdout?.once('data', () => {
      witness.off('exit', ended)
      resolve(null)
    })
    witness.stdin?.write('\n')
  })
}
