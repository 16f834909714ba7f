import { Evaluator } from '../../../src/codecs/cel/evaluator.ts'

const evaluator = new Evaluator()

/** Evaluates an expression with a payload in hexadecimal digits. Returns the data, or the reason of the failure. */
export function resultOf(source: string, payload = ''): unknown {
  const result = evaluator.evaluate(source, Uint8Array.from(Buffer.from(payload.replaceAll(' ', ''), 'hex')))
  return result.ok ? result.data : result.reason
}

/** Evaluates one value, as `{"v": expression}`. Returns it, or the reason of the failure. */
export function valueOf(expression: string, payload = ''): unknown {
  const result = resultOf(`{"v": ${expression}}`, payload)
  return typeof result === 'object' && result !== null && 'v' in result ? result.v : result
}
