import { JavaScriptEngine } from '../../src/codecs/javascript/engine.ts'
import { QuickJs } from '../../src/codecs/javascript/quickjs.ts'
import { compare, type Figure, median } from '../report/figures.ts'
import { FIXED_OFFSETS } from './decoders.ts'
import { microsPerCall } from './processor-time.ts'

const CALLS = 10_000
/** So many contexts fit into one instance; they are not freed, which would take more time. */
const CONTEXTS = 40
const WARM_UP_ROUNDS = 3

/** Measures the same JavaScript codec with restored memory, and with a fresh runtime and context for each call. */
export function measureFreshContexts(rounds: number): Figure {
  const { javaScript, payload } = FIXED_OFFSETS
  const engine = new JavaScriptEngine()
  const restored: number[] = []
  const fresh: number[] = []
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    const quickJs = new QuickJs({ now: () => 0, shouldInterrupt: () => false })
    const micros = {
      restored: microsPerCall(() => engine.decode(javaScript, payload), CALLS),
      fresh: microsPerCall(() => decodeInFreshContext(quickJs, javaScript, payload), CONTEXTS),
    }
    if (round < 0) continue
    restored.push(micros.restored)
    fresh.push(micros.fresh)
  }
  return {
    id: 'codecs',
    what: 'restored memory, processor time of a call',
    unit: 'µs',
    ours: median(restored),
    beside: compare('fresh context', restored, fresh),
    goal: { type: 'none' },
  }
}

/** Decodes a payload with nothing but a runtime, a context and the codec. */
function decodeInFreshContext(quickJs: QuickJs, source: string, payload: Uint8Array): unknown {
  const { call } = quickJs
  const context = call.QTS_NewContext(call.QTS_NewRuntime(), 0)
  const program = `${source}; JSON.stringify(decodeUplink({ bytes: [${payload.join()}], fPort: 2 }).data)`
  const code = quickJs.newText(program)
  const result = call.QTS_Eval(context, code.pointer, code.length, quickJs.newText('codec.js').pointer, 0, 0)
  const data: unknown = JSON.parse(quickJs.textAt(call.QTS_GetString(context, result)))
  return data
}
