import type { ReadStream, WriteStream } from 'node:tty'
import { messageOf } from '../../config/errors.ts'
import type { TerminalMode } from '../../supervisor/guard/guard.ts'
import { isInForeground } from '../../supervisor/system/process-table.ts'
import type { PromptLine } from '../../supervisor/output/prompt-line.ts'
import type { ProcessStatus } from '../../control/protocol.ts'
import { Timer } from '../../supervisor/timers.ts'
import { statusLines } from '../remote/status-table.ts'
import { handleKeys, IDLE, type KeyEffect, promptText } from './keys.ts'
import { enterKeyMode, restoreMode } from './terminal-mode.ts'

export interface KeyActions {
  /** Returns the status of all processes. */
  status(): Promise<readonly ProcessStatus[]>
  restart(name: string): Promise<unknown>
  quit(): void
}

export interface KeyboardOptions {
  readonly stdin: ReadStream
  readonly stdout: WriteStream
  readonly actions: KeyActions
  /** The last line of the terminal, below all other output. */
  readonly prompt: PromptLine
  /** Called with the changed mode of the terminal, and with null when it is restored. */
  readonly onMode: (mode: TerminalMode | null) => void
}

/** The interval of the checks in the background, because not every shell sends SIGCONT for `fg` after `bg`. */
const FOREGROUND_CHECK_MS = 1000
const CLEAR_SCREEN = '\u001b[2J\u001b[3J\u001b[H'

/** Reads single keys from the terminal. In the background it reads nothing and leaves the mode of the terminal alone. */
export class Keyboard {
  readonly #options: KeyboardOptions
  #state = IDLE
  #mode: TerminalMode | null = null
  #isEntering = false
  readonly #foregroundCheck = new Timer()
  readonly #disposed = new AbortController()
  /** Pieces of input are handled in order, although the names are requested. */
  #handled = Promise.resolve()

  constructor(options: KeyboardOptions) {
    this.#options = options
    options.stdin.setEncoding('utf8').on('error', () => undefined)
    options.stdin.on('data', this.#onInput)
    options.stdin.pause()
    process.on('SIGTSTP', this.#onSuspend)
    process.on('SIGCONT', this.#onContinue)
    process.on('exit', this.#restore)
    this.#onContinue()
  }

  /** Restores the terminal. */
  dispose(): void {
    this.#disposed.abort()
    this.#foregroundCheck.clear()
    this.#options.prompt.set(null)
    this.#restore()
    this.#options.stdin.off('data', this.#onInput)
    process.off('SIGTSTP', this.#onSuspend)
    process.off('SIGCONT', this.#onContinue)
    process.off('exit', this.#restore)
  }

  async #enter(): Promise<void> {
    if (this.#mode !== null || this.#isEntering) return
    this.#isEntering = true
    const mode = await enterKeyMode(this.#disposed.signal).finally(() => (this.#isEntering = false))
    if (mode === null) return
    this.#mode = mode
    this.#options.onMode(mode)
    this.#options.stdin.resume()
  }

  readonly #restore = (): void => {
    this.#options.stdin.pause()
    if (this.#mode === null) return
    restoreMode(this.#mode)
    this.#mode = null
    this.#options.onMode(null)
  }

  /** Ctrl-Z: the terminal belongs to the shell until SIGCONT. */
  readonly #onSuspend = (): void => {
    this.#options.prompt.set(null)
    this.#foregroundCheck.clear()
    this.#restore()
    process.kill(process.pid, 'SIGSTOP')
  }

  readonly #onContinue = (): void => {
    if (!isInForeground(process.pid)) return this.#foregroundCheck.set(FOREGROUND_CHECK_MS, this.#onContinue)
    this.#foregroundCheck.clear()
    void this.#enter()
    this.#options.prompt.set(promptText(this.#state))
  }

  readonly #onInput = (data: Buffer | string): void => {
    this.#handled = this.#handled.then(() => this.#handle(String(data)))
  }

  async #handle(input: string): Promise<void> {
    try {
      const { state, effects } = handleKeys(this.#state, input, input === 'r' ? await this.#restartable() : [])
      const wasOpen = this.#state.prompt !== null
      this.#state = state
      if (wasOpen && state.prompt === null) this.#options.prompt.set(null)
      for (const effect of effects) await this.#act(effect)
      if (state.prompt !== null && !this.#disposed.signal.aborted) this.#options.prompt.set(promptText(state))
    } catch (error) {
      this.#state = IDLE
      this.#options.prompt.set(null)
      this.#print(`${messageOf(error)}\n`)
    }
  }

  async #restartable(): Promise<readonly string[]> {
    const processes = await this.#options.actions.status()
    return processes.filter(({ state }) => state !== 'disabled').map(({ name }) => name)
  }

  async #act(effect: KeyEffect): Promise<void> {
    const { actions } = this.#options
    switch (effect.type) {
      case 'restart':
        // Its messages are part of the output; a failure to request it is not.
        return void actions.restart(effect.name).catch((error: unknown) => this.#print(`${messageOf(error)}\n`))
      case 'status':
        return this.#print(statusLines(await actions.status()))
      case 'clear':
        return this.#print(CLEAR_SCREEN)
      case 'quit':
        return actions.quit()
      case 'print':
        return this.#print(effect.text)
    }
  }

  #print(text: string): void {
    const [before, after] = this.#options.prompt.around()
    this.#options.stdout.write(before + text + after)
  }
}
