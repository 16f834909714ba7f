import { generate } from 'mqtt-packet'
import { expect, it } from 'vitest'
import { FrameReader, readPublishHead } from './frame-reader.ts'

const MAX_BYTES = 300

const publish = (topic: string, bytes: number, version: 4 | 5 = 4): Buffer =>
  generate(
    { cmd: 'publish', topic, payload: Buffer.alloc(bytes, 1), qos: 1, messageId: 7, dup: true, retain: false },
    { protocolVersion: version },
  )

const SMALL = publish('o1/d1', 10)
const PING = generate({ cmd: 'pingresp' })
const LARGE = publish('o1/d2', 100_000)

function read(chunks: readonly Buffer[], onFrame: (reader: FrameReader) => void = () => undefined): string[] {
  const found: string[] = []
  const reader: FrameReader = new FrameReader({
    maxBytes: () => MAX_BYTES,
    onFrame: (frame) => {
      found.push(frame.toString('hex'))
      onFrame(reader)
    },
    onOversized: (head, bytes) => found.push(JSON.stringify(readPublishHead(head, bytes, 4))),
  })
  for (const chunk of chunks) reader.push(chunk)
  return found
}

const skipped = { topic: 'o1/d2', packetId: 7, dup: true, retain: false, payloadBytes: 100_000 }
const expected = [SMALL.toString('hex'), PING.toString('hex'), JSON.stringify(skipped), SMALL.toString('hex')]
const all = Buffer.concat([SMALL, PING, LARGE, SMALL])

it.each([1, 2, 7, 1000, all.length])('B-2 splits bytes into packets, in chunks of %d bytes', (size) => {
  const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.subarray(i * size, (i + 1) * size))
  expect(read(chunks)).toEqual(expected)
})

it('B-2 reads no further packet while it is paused', () => {
  let reader: FrameReader | undefined
  const pause = (own: FrameReader): void => {
    reader = own
    own.pause()
  }
  const found = read([Buffer.concat([SMALL, PING]), SMALL], pause)
  expect(found).toHaveLength(1)
  reader?.resume()
  expect(found).toHaveLength(2)
  reader?.resume()
  expect(found).toEqual([SMALL, PING, SMALL].map((frame) => frame.toString('hex')))
})

it('B-2 rejects a malformed length', () => {
  expect(() => read([Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01])])).toThrow('malformed length')
})

it('B-2 reads the size of a payload behind the properties of MQTT 5', () => {
  const frame = publish('o1/d1', 1000, 5)
  expect(readPublishHead(frame.subarray(0, 100), frame.length, 5)).toMatchObject({ topic: 'o1/d1', payloadBytes: 1000 })
})
