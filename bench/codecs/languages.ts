import { isDeepStrictEqual } from 'node:util'
import type { Codec } from '../../src/domain/codecs/codec.ts'
import { Decoder } from '../../src/codecs/decoder.ts'
import type { Evaluation } from '../../src/codecs/evaluation.ts'
import { compare, type Figure, median } from '../report/figures.ts'
import { type DecoderPair, FIXED_OFFSETS, TYPED_FIELDS } from './decoders.ts'
import { microsPerCall } from './processor-time.ts'

const CALLS = 10_000
const WARM_UP_ROUNDS = 3

/** Measures the processor time of one call of the same decoder in JavaScript and in CEL, in alternating rounds. */
export function measureLanguages(rounds: number): readonly Figure[] {
  return [FIXED_OFFSETS, TYPED_FIELDS].map((pair) => measurePair(pair, rounds))
}

function measurePair({ name, payload, cel, javaScript }: DecoderPair, rounds: number): Figure {
  const decoder = new Decoder()
  const context = { receivedAt: 1_700_000_000_000_000n, uplink: { fPort: 2 } }
  const decode = (codec: Codec) => () => decoder.decode(codec, payload, context)
  const runs = {
    cel: decode({ kind: 'cel', source: cel }),
    javaScript: decode({ kind: 'javascript', source: javaScript }),
  }
  requireSameData(name, runs)
  const micros = { cel: [] as number[], javaScript: [] as number[] }
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    const [inCel, inJavaScript] = [microsPerCall(runs.cel, CALLS), microsPerCall(runs.javaScript, CALLS)]
    if (round < 0) continue
    micros.cel.push(inCel)
    micros.javaScript.push(inJavaScript)
  }
  return {
    id: 'codecs',
    what: `${name}: JavaScript, processor time of a call`,
    unit: 'µs',
    ours: median(micros.javaScript),
    beside: compare('CEL', micros.javaScript, micros.cel),
    goal: { type: 'ratio', atMost: 2 },
  }
}

function requireSameData(
  name: string,
  { cel, javaScript }: Readonly<Record<'cel' | 'javaScript', () => Evaluation>>,
): void {
  const [inCel, inJavaScript] = [cel(), javaScript()]
  if (inCel.ok && inJavaScript.ok && isDeepStrictEqual(inCel.data, inJavaScript.data)) return
  throw new Error(`${name}: the results differ: ${JSON.stringify(inCel)}, ${JSON.stringify(inJavaScript)}`)
}
