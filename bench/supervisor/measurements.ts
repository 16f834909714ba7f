import type { Figure } from '../report/figures.ts'
import type { Field } from './field.ts'
import { measureFirstWord } from './first-word.ts'
import { measureHundred } from './hundred.ts'
import { measureIdle } from './idle.ts'
import { measureReplacement } from './replacement.ts'
import { measureThroughput } from './throughput.ts'

/** Id → how it is measured. */
export const measurements: Readonly<Record<string, (field: Field) => Promise<readonly Figure[]>>> = {
  'M-1': (field) => measureThroughput(field, { id: 'M-1', children: 1, lines: 1_000_000 }),
  'M-2': (field) => measureThroughput(field, { id: 'M-2', children: 8, lines: 200_000 }),
  'M-3': measureReplacement,
  'M-4': measureHundred,
  'M-5': measureIdle,
  'M-6': measureFirstWord,
}
