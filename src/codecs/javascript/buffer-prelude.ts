/**
 * A program that defines the global `Buffer`, for codecs that use it: the part of Node.js's class that codecs need, with the same
 * results. A Buffer is a Uint8Array, so indexing, `length`, iteration and the methods of typed arrays work.
 */
export const BUFFER_PRELUDE = String.raw`(function () {
  'use strict'
  const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

  function fromHex(text) {
    const bytes = []
    for (let i = 0; i + 1 < text.length; i += 2) {
      const digits = text.slice(i, i + 2)
      if (!/^[0-9a-fA-F]{2}$/.test(digits)) break
      bytes.push(parseInt(digits, 16))
    }
    return bytes
  }

  function fromBase64(text) {
    const bytes = []
    let bits = 0, count = 0
    for (const character of text.replace(/-/g, '+').replace(/_/g, '/')) {
      if (character === '=') break
      const value = BASE64.indexOf(character)
      if (value < 0) continue
      bits = (bits << 6) | value
      count += 6
      if (count >= 8) bytes.push((bits >> (count -= 8)) & 255)
    }
    return bytes
  }

  function toBase64(bytes) {
    let text = ''
    for (let i = 0; i < bytes.length; i += 3) {
      const bits = (bytes[i] << 16) | ((bytes[i + 1] || 0) << 8) | (bytes[i + 2] || 0)
      for (let j = 0; j < 4; j++) text += i * 8 + j * 6 < bytes.length * 8 ? BASE64[(bits >> (18 - 6 * j)) & 63] : '='
    }
    return text
  }

  function fromUtf8(text) {
    const bytes = []
    for (const character of text) {
      let code = character.codePointAt(0)
      if (code >= 0xd800 && code < 0xe000) code = 0xfffd
      if (code < 0x80) bytes.push(code)
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63))
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63))
      else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63))
    }
    return bytes
  }

  /** Invalid bytes become U+FFFD, one for each maximal part of a character. */
  function toUtf8(bytes) {
    let text = ''
    for (let i = 0; i < bytes.length; ) {
      const first = bytes[i++]
      if (first < 0x80) {
        text += String.fromCharCode(first)
        continue
      }
      const extra = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0
      let code = first & (0x3f >> extra)
      let seen = 0
      for (; seen < extra && i < bytes.length; seen++, i++) {
        const low = seen > 0 ? 0x80 : first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
        const high = seen > 0 ? 0xbf : first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
        if (bytes[i] < low || bytes[i] > high) break
        code = (code << 6) | (bytes[i] & 63)
      }
      text += extra > 0 && seen === extra ? String.fromCodePoint(code) : '\ufffd'
    }
    return text
  }

  function fromText(text, encoding) {
    switch (String(encoding === undefined ? 'utf8' : encoding).toLowerCase()) {
      case 'utf8':
      case 'utf-8':
        return fromUtf8(text)
      case 'hex':
        return fromHex(text)
      case 'base64':
      case 'base64url':
        return fromBase64(text)
      case 'ascii':
      case 'latin1':
      case 'binary':
        return Array.from(text, (character) => character.charCodeAt(0) & 255)
    }
    throw new TypeError('Unknown encoding: ' + encoding)
  }

  class Buffer extends Uint8Array {
    static get [Symbol.species]() {
      return Buffer
    }

    /** Accepts what Buffer.from and Buffer.alloc accept, as the deprecated constructor of Node.js does. */
    constructor(value, encoding, length) {
      super(typeof value === 'string' ? fromText(value, encoding) : value, encoding, length)
    }

    static from(value, encoding, length) {
      if (typeof value === 'string') return Buffer.from(fromText(value, encoding))
      if (value instanceof ArrayBuffer) return new Buffer(value, encoding, length)
      if (typeof value !== 'object' || value === null) throw new TypeError('Buffer.from: expected a list, a buffer or a string')
      const bytes = value.type === 'Buffer' && Array.isArray(value.data) ? value.data : value
      const buffer = new Buffer(bytes.length)
      for (let i = 0; i < bytes.length; i++) buffer[i] = bytes[i]
      return buffer
    }

    static alloc(size, fill, encoding) {
      const buffer = new Buffer(size)
      if (fill === undefined) return buffer
      return typeof fill === 'string' ? buffer.fill(Buffer.from(fill, encoding)[0]) : buffer.fill(fill)
    }

    static allocUnsafe(size) {
      return new Buffer(size)
    }

    static isBuffer(value) {
      return value instanceof Buffer
    }

    static byteLength(text, encoding) {
      return typeof text === 'string' ? fromText(text, encoding).length : text.byteLength
    }

    static concat(list, length) {
      const size = length === undefined ? list.reduce((sum, part) => sum + part.length, 0) : length
      const joined = new Buffer(size)
      let at = 0
      for (const part of list) for (let i = 0; i < part.length && at < size; i++) joined[at++] = part[i]
      return joined
    }

    static compare(a, b) {
      for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1
      return Math.sign(a.length - b.length)
    }

    slice(from, to) {
      return this.subarray(from, to)
    }

    equals(other) {
      return this.compare(other) === 0
    }

    compare(other) {
      return Buffer.compare(this, other)
    }

    write(text, at = 0, length, encoding) {
      if (typeof at === 'string') return this.write(text, 0, undefined, at)
      if (typeof length === 'string') return this.write(text, at, undefined, length)
      const bytes = Buffer.from(text, encoding)
      return bytes.copy(this, at, 0, length === undefined ? bytes.length : Math.min(length, bytes.length))
    }

    copy(target, targetStart = 0, from = 0, to = this.length) {
      const part = this.subarray(from, Math.min(to, from + target.length - targetStart))
      target.set(part, targetStart)
      return part.length
    }

    toString(encoding, from, to) {
      const part = this.subarray(from, to)
      switch (String(encoding === undefined ? 'utf8' : encoding).toLowerCase()) {
        case 'utf8':
        case 'utf-8':
          return toUtf8(part)
        case 'hex': {
          let text = ''
          for (const byte of part) text += (byte < 16 ? '0' : '') + byte.toString(16)
          return text
        }
        case 'base64':
          return toBase64(part)
        case 'base64url':
          return toBase64(part).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')
        case 'ascii':
          return Array.from(part, (byte) => String.fromCharCode(byte & 127)).join('')
        case 'latin1':
        case 'binary':
          return Array.from(part, (byte) => String.fromCharCode(byte)).join('')
      }
      throw new TypeError('Unknown encoding: ' + encoding)
    }

    readUIntBE(at, count) {
      let value = 0
      for (let i = 0; i < count; i++) value = value * 256 + byteAt(this, at, count, i)
      return value
    }

    readUIntLE(at, count) {
      let value = 0
      for (let i = count - 1; i >= 0; i--) value = value * 256 + byteAt(this, at, count, i)
      return value
    }

    readIntBE(at, count) {
      return signed(this.readUIntBE(at, count), count)
    }

    readIntLE(at, count) {
      return signed(this.readUIntLE(at, count), count)
    }
  }

  /** Reverses the bytes of each group of "count" bytes. */
  function swap(buffer, count) {
    if (buffer.length % count !== 0) throw new RangeError('Buffer size must be a multiple of ' + 8 * count + '-bits')
    for (let at = 0; at < buffer.length; at += count) buffer.subarray(at, at + count).reverse()
    return buffer
  }

  function byteAt(buffer, at, count, index) {
    if (!Number.isInteger(at)) throw new TypeError('The offset must be an integer; received ' + at)
    if (at < 0 || at + count > buffer.length)
      throw new RangeError('Attempt to read ' + count + ' bytes at offset ' + at + ' of a buffer of ' + buffer.length + ' bytes')
    return buffer[at + index]
  }

  function signed(value, count) {
    return value >= 2 ** (8 * count - 1) ? value - 2 ** (8 * count) : value
  }

  function define(name, method) {
    const aliases = [name, name.replace('UInt', 'Uint')]
    for (const alias of aliases)
      Object.defineProperty(Buffer.prototype, alias, { value: method, writable: true, configurable: true })
  }

  function viewOf(buffer, at, count) {
    byteAt(buffer, at, count, 0)
    return new DataView(buffer.buffer, buffer.byteOffset + at, count)
  }

  define('readUIntBE', Buffer.prototype.readUIntBE)
  define('readUIntLE', Buffer.prototype.readUIntLE)
  define('readUInt8', function (at = 0) { return byteAt(this, at, 1, 0) })
  define('readInt8', function (at = 0) { return signed(byteAt(this, at, 1, 0), 1) })
  for (const bits of [16, 32, 64]) define('swap' + bits, function () { return swap(this, bits / 8) })
  for (const isLittle of [false, true]) {
    const end = isLittle ? 'LE' : 'BE'
    for (const bits of [16, 24, 32]) {
      const count = bits / 8
      define('readUInt' + bits + end, function (at = 0) { return this['readUInt' + end](at, count) })
      define('readInt' + bits + end, function (at = 0) { return this['readInt' + end](at, count) })
    }
    define('readFloat' + end, function (at = 0) { return viewOf(this, at, 4).getFloat32(0, isLittle) })
    define('readDouble' + end, function (at = 0) { return viewOf(this, at, 8).getFloat64(0, isLittle) })
    define('readBigInt64' + end, function (at = 0) { return viewOf(this, at, 8).getBigInt64(0, isLittle) })
    define('readBigUInt64' + end, function (at = 0) { return viewOf(this, at, 8).getBigUint64(0, isLittle) })
    const writer = (setter, count) => function (value, at = 0) {
      viewOf(this, at, count)[setter](0, value, isLittle)
      return at + count
    }
    for (const bits of [16, 32]) {
      const write = writer('setUint' + bits, bits / 8)
      define('writeUInt' + bits + end, write)
      define('writeInt' + bits + end, write)
    }
    define('writeFloat' + end, writer('setFloat32', 4))
    define('writeDouble' + end, writer('setFloat64', 8))
    define('writeBigInt64' + end, writer('setBigInt64', 8))
    define('writeBigUInt64' + end, writer('setBigUint64', 8))
    const writeInteger = function (value, at, count) {
      const view = viewOf(this, at, count)
      for (let i = 0; i < count; i++) view.setUint8(isLittle ? i : count - 1 - i, Math.floor(value / 256 ** i))
      return at + count
    }
    define('writeUInt' + end, writeInteger)
    define('writeInt' + end, writeInteger)
  }
  const writeByte = function (value, at = 0) {
    byteAt(this, at, 1, 0)
    this[at] = value
    return at + 1
  }
  define('writeUInt8', writeByte)
  define('writeInt8', writeByte)
  // A class cannot be called without "new".
  const callable = new Proxy(Buffer, { apply: (target, self, values) => new target(...values) })
  Object.defineProperty(Buffer.prototype, 'constructor', { value: callable, writable: true, configurable: true })
  Object.defineProperty(globalThis, 'Buffer', { value: callable, writable: true, configurable: true })
})()`
