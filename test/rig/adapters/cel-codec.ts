import type { Codec } from '../../../src/domain/codecs/codec.ts'

/** Returns the codec of an expression. */
export function celCodec(source: string): Codec {
  return { kind: 'cel', source }
}
