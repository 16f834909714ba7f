import { isUtf8 } from 'node:buffer'

const NOT_ASCII = /[\u0080-\u00ff]/

/** Text of bytes that are held as latin1 characters; `valid` is false if they were not UTF-8. */
export function decodeUtf8(bytes: string): { readonly text: string; readonly valid: boolean } {
  if (!NOT_ASCII.test(bytes)) return { text: bytes, valid: true }
  const buffer = Buffer.from(bytes, 'latin1')
  return { text: buffer.toString('utf8'), valid: isUtf8(buffer) }
}

/** The UTF-8 bytes of a text, held as latin1 characters. */
export function encodeUtf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
