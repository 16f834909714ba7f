import type { Codec } from '../domain/codec.ts'
import { Evaluator } from './cel/evaluator.ts'
import type { EnvelopeContext, Evaluation } from './evaluation.ts'

const CAYENNE_LPP = 'cayenne_lpp_decode(input)'

/** Runs codecs of every kind in the calling thread, without a time limit. Compiled codecs are cached. */
export class Decoder {
  readonly #expressions = new Evaluator()

  /** Decodes a payload. Without a context, what it describes has its defaults. Throws only errors that end the thread. */
  decode(codec: Codec, payload: Uint8Array, context?: EnvelopeContext): Evaluation {
    switch (codec.kind) {
      case 'cel':
        return this.#expressions.evaluate(codec.source, payload, context)
      case 'cayenne_lpp':
        return this.#expressions.evaluate(CAYENNE_LPP, payload)
      case 'javascript':
        return { ok: false, reason: 'JavaScript codecs are not supported yet' }
    }
  }
}
