import { z } from 'zod'
import { text } from './fields.ts'

const form = 'a list of names, such as ["LICENSE", "STRIPE_*"]'
const nameForm = 'a name of letters, digits, "_", "-" and ".", in which "*" is any text and "?" any character'

/** The key `secret_names` of the file. */
export const secretNamesSchema = z
  .array(text(nameForm).regex(/^[\w.*?-]+$/, { error: nameForm }), { error: form })
  .default([])
  .describe(
    'further names of variables, flags and keys with secret values, which are masked in all messages and not exported; `*` is any text and `?` any character',
  )
