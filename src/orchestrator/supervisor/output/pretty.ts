/** Renders a record of a child's log, one that pino could have written, as a line for people. */
export type Pretty = (record: object) => string

/** Loads pino-pretty, which is needed at a terminal only. */
export async function loadPretty(colorize: boolean): Promise<Pretty> {
  const { prettyFactory } = await import('pino-pretty')
  // The prefix says already who speaks.
  return prettyFactory({ ignore: 'pid,hostname,name', translateTime: 'SYS:HH:MM:ss.l', singleLine: true, colorize })
}
