import { describe, expect, test } from 'vitest'
import { readFrame, writeStatus } from './replication-stream.ts'

describe('the replication stream', () => {
  test('parses a keepalive with the end of the log and whether a reply is requested', () => {
    const chunk = Buffer.from('6b00000016b374d84800000000000000ff01', 'hex')
    expect(readFrame(chunk)).toEqual({ kind: 'keepalive', walEnd: 0x16_b374_d848n, replyRequested: true })
    chunk[17] = 0
    expect(readFrame(chunk)).toEqual({ kind: 'keepalive', walEnd: 0x16_b374_d848n, replyRequested: false })
  })

  test('parses a data frame with the bytes after the header', () => {
    const chunk = Buffer.concat([Buffer.from('w'), Buffer.alloc(24), Buffer.from('payload')])
    expect(readFrame(chunk)).toEqual({ kind: 'data', payload: Buffer.from('payload') })
  })

  test.each(['', '77', '6b0000', 'ff'])('rejects the frame %j', (hex) => {
    expect(() => readFrame(Buffer.from(hex, 'hex'))).toThrow(/replication frame/)
  })

  test('C-3: sends a status update with the exact position three times', () => {
    const frame = writeStatus(0x16_b374_d848n, true, Date.UTC(2000, 0, 1) + 1)
    expect(frame.toString('hex')).toBe(`72${'00000016b374d848'.repeat(3)}00000000000003e801`)
    expect(writeStatus(0n, false, 0).at(-1)).toBe(0)
  })
})
