import { invalid } from './fields.ts'

const DEV_EUI = /^[0-9a-f]{16}$/
/** Hexadecimal digits, with separators or a prefix as some consoles show them. */
const HEXADECIMAL = /^(0x)?[0-9a-f]+([-:. ][0-9a-f]+)*$/
/** A device id of The Things Stack (API reference, EndDeviceIdentifiers). */
const DEVICE_ID = /^[a-z0-9](-?[a-z0-9]){2,35}$/
const MAX_LENGTH = 64
/** Shorter texts of hexadecimal digits, such as `bed-1`, are device ids. */
const MIN_HEXADECIMAL = 10

/**
 * Returns the normal form of a device's id in its network server: a DevEUI in any spelling as 16 lower-case hexadecimal digits, or
 * a device id of The Things Stack in lower case. Empty means none. Throws `invalid_argument` with `field` for any other text.
 */
export function normalExternalId(field: string, value: string): string {
  const text = value.length > MAX_LENGTH ? value : value.trim().toLowerCase()
  if (text === '') return ''
  const digits = HEXADECIMAL.test(text) ? text.replace(/^0x/, '').replaceAll(/[-:. ]/g, '') : ''
  if (DEV_EUI.test(digits)) return digits
  if (digits.length >= MIN_HEXADECIMAL)
    throw invalid(`${field} has ${digits.length} hexadecimal digits; a DevEUI has 16, such as 70b3d57ed0000001`)
  if (DEVICE_ID.test(text)) return text
  throw invalid(
    `${field} must be a DevEUI such as 70b3d57ed0000001, or 3 to 36 letters, digits and single hyphens of a device id`,
  )
}
