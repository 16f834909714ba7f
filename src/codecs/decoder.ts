import type { Codec } from '../domain/codecs/codec.ts'
import { Evaluator } from './cel/evaluator.ts'
import type { EnvelopeContext, Evaluation } from './evaluation.ts'
import { JavaScriptEngine } from './javascript/engine.ts'

const CAYENNE_LPP = 'cayenne_lpp_decode(input)'

/** Runs codecs of every kind in the calling thread; only JavaScript has a time limit here. Compiled codecs are cached. */
export class Decoder {
  readonly #expressions = new Evaluator()
  readonly #javaScript = new JavaScriptEngine()

  /** Decodes a payload. Without a context, what it describes has its defaults. Throws only errors that end the thread. */
  decode(codec: Codec, payload: Uint8Array, context?: EnvelopeContext): Evaluation {
    switch (codec.kind) {
      case 'cel':
        return this.#expressions.evaluate(codec.source, payload, context)
      case 'cayenne_lpp':
        return this.#expressions.evaluate(CAYENNE_LPP, payload)
      case 'javascript':
        return this.#javaScript.decode(codec.source, payload, context)
    }
  }

  /** Loads a JavaScript codec without decoding a payload; the result has no data. A codec of another kind passes. */
  check({ kind, source }: Codec): Evaluation {
    const check = kind === 'javascript' ? this.#javaScript.check(source) : undefined
    return check?.ok === false ? check : { ok: true, data: {}, size: 0 }
  }
}
