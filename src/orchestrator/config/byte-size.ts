export const byteSizeForm = 'a number of bytes, or a size such as "10MB" or "64KiB"'

const factors: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/** Bytes of `1000`, `"10MB"` (powers of 1000), `"64KiB"` (powers of 1024) and `"1.5 GB"`; null if it is none or less than 1. */
export function parseByteSize(size: number | string): number | null {
  const [, number, unit = ''] = /^(\d{1,15}(?:\.\d{1,3})?) ?([A-Za-z]{0,3})$/.exec(String(size)) ?? []
  const factor = factors[unit.toUpperCase()]
  if (number === undefined || factor === undefined) return null
  const bytes = Math.floor(Number(number) * factor)
  return bytes >= 1 && Number.isSafeInteger(bytes) ? bytes : null
}
