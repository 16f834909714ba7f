/** The names of the durable consumers of analytics. */
export const CONSUMERS = {
  raw: 'analytics-raw',
  deferred: 'analytics-deferred',
  processed: 'analytics-processed',
} as const

/** The first token of the subjects of surplus; the second one is the organization. */
export const SURPLUS_PREFIX = 'surplus_envelopes'
